# Baseline: DSS, EfficientNet-Lite0, salient objects of SOD at a size for CPUs.
_base_ = [
    '../_base_/binary_runtime.py',
    '../_base_/models/dss_efficientnet-lite0.py',
    '../_base_/datasets/sod_160x160.py',
    '../_base_/schedules/adam_1k.py',
]
model = dict(data_preprocessor=dict(size=(160, 160)))
randomness = dict(seed=0)
