# HED on five features of EfficientNet-Lite0, the last of each stride: side outputs, their fusion.
_base_ = './efficientnet-lite0_features.py'
model = dict(
    backbone=dict(
        features=[
            'timm_model.blocks.0',
            'timm_model.blocks.1',
            'timm_model.blocks.2',
            'timm_model.blocks.4',
            'timm_model.blocks.6',
        ],
    ),
    decode_head=dict(
        type='HEDHead',
        in_channels=[16, 24, 40, 112, 320],
        in_index=[0, 1, 2, 3, 4],
        loss_decode=dict(type='BalancedBCELoss'),
    ),
)
