# Baseline: DeepLab-V3's image pooling and 1x1 branch on the encoder's last feature, without dilated
# branches, as MobileNet-V2's authors use it (docs/baselines.md).
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/mbv2_features.py',
    '../_base_/datasets/shapes.py',
    '../_base_/schedules/sgd_600_scratch.py',
]
model = dict(
    data_preprocessor=dict(size=(64, 64)),
    backbone=dict(features=['conv2']),
    decode_head=dict(
        type='ASPPHead',
        in_channels=1280,
        in_index=0,
        channels=128,
        dilations=(1,),
        norm_cfg=dict(type='BN'),
        dropout_ratio=0.0,
        num_classes=8,
        align_corners=True,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    ),
)
