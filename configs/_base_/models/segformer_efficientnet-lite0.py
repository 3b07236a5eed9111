# The decoder of SegFormer (Xie et al., NeurIPS 2021) on the last feature of strides 4, 8, 16 and 32
# of EfficientNet-Lite0. Set num_classes.
_base_ = './efficientnet-lite0_features.py'
model = dict(
    decode_head=dict(
        type='SegformerHead',
        in_channels=[24, 40, 112, 320],
        in_index=[2, 3, 5, 7],
        channels=128,
        norm_cfg=dict(type='BN'),
        dropout_ratio=0.0,
        num_classes=21,
        align_corners=True,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    ),
)
