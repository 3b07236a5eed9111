# FCN: one 1x1 classifier on EfficientNet-Lite0's last feature. Set num_classes.
_base_ = './efficientnet-lite0_features.py'
model = dict(
    backbone=dict(features=['timm_model.bn2']),
    decode_head=dict(
        type='FCNHead',
        in_channels=1280,
        in_index=0,
        channels=1280,
        num_convs=0,
        concat_input=False,
        dropout_ratio=0.0,
        num_classes=21,
        align_corners=True,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    ),
)
