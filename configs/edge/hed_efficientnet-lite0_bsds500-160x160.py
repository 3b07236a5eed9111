# Baseline: HED, EfficientNet-Lite0, boundaries of BSDS500 at a size for CPUs.
_base_ = [
    '../_base_/binary_runtime.py',
    '../_base_/models/hed_efficientnet-lite0.py',
    '../_base_/datasets/bsds500_160x160.py',
    '../_base_/schedules/adam_1k.py',
]
model = dict(data_preprocessor=dict(size=(160, 160)))
randomness = dict(seed=0)
