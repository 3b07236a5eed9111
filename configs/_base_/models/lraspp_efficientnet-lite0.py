# LR-ASPP (Howard et al., ICCV 2019) on the last feature of strides 4, 8 and 32 of
# EfficientNet-Lite0. Set num_classes.
_base_ = './efficientnet-lite0_features.py'
model = dict(
    decode_head=dict(
        type='GlobalLRASPPHead',
        in_channels=[24, 40, 320],
        in_index=[2, 3, 7],
        input_transform='multiple_select',
        channels=128,
        branch_channels=(32, 64),
        norm_cfg=dict(type='BN'),
        dropout_ratio=0.0,
        num_classes=21,
        align_corners=True,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    ),
)
