# The decoder found on MobileNet-V2, transferred to EfficientNet-B0 of timm.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/sparsemask_efficientnet-b0.py',
    '../_base_/datasets/voc12_aug.py',
    '../_base_/schedules/sgd_50e.py',
]
model = dict(data_preprocessor=dict(size=(513, 513)))
