# DeepLab-V3 (arXiv 1706.05587) on EfficientNet-Lite0 at output stride 16: dilation takes
# the place of the last stride. Set num_classes. Stride 8 has backbone.backbone.output_stride=8 and
# dilations of (1, 12, 24, 36).
_base_ = './efficientnet-lite0_features.py'
model = dict(
    backbone=dict(backbone=dict(output_stride=16), features=['timm_model.blocks.6']),
    decode_head=dict(
        type='ASPPHead',
        in_channels=320,
        in_index=0,
        channels=256,
        dilations=(1, 6, 12, 18),
        norm_cfg=dict(type='BN'),
        dropout_ratio=0.0,
        num_classes=21,
        align_corners=True,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    ),
)
