# Baseline: one 1x1 classifier, EfficientNet-Lite0, SOD at a size for CPUs.
_base_ = [
    '../_base_/binary_runtime.py',
    '../_base_/models/fcn_efficientnet-lite0_saliency.py',
    '../_base_/datasets/sod_160x160.py',
    '../_base_/schedules/adam_1k.py',
]
model = dict(data_preprocessor=dict(size=(160, 160)))
randomness = dict(seed=0)
