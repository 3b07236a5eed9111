# DeepLab-V3's image pooling and 1x1 branch on EfficientNet-Lite0's last feature, without dilated
# branches, as MobileNet-V2's authors use it (docs/baselines.md). Set num_classes.
_base_ = './efficientnet-lite0_features.py'
model = dict(
    backbone=dict(features=['timm_model.bn2']),
    decode_head=dict(
        type='ASPPHead',
        in_channels=1280,
        in_index=0,
        channels=128,
        dilations=(1,),
        norm_cfg=dict(type='BN'),
        dropout_ratio=0.0,
        num_classes=21,
        align_corners=True,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    ),
)
