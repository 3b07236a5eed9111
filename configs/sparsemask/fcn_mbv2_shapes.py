# Baseline: FCN on the embedded data set.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/fcn_mbv2.py',
    '../_base_/datasets/shapes.py',
    '../_base_/schedules/adamw_400_scratch.py',
]
model = dict(
    data_preprocessor=dict(size=(96, 96)),
    # From scratch.
    backbone=dict(backbone=dict(_delete_=True, type='mmpretrain.MobileNetV2')),
    decode_head=dict(num_classes=6),
)
