# DSS on six features of EfficientNet-Lite0: side outputs with short connections.
_base_ = './efficientnet-lite0_features.py'
model = dict(
    backbone=dict(
        features=[
            'timm_model.blocks.0',
            'timm_model.blocks.1',
            'timm_model.blocks.2',
            'timm_model.blocks.4',
            'timm_model.blocks.6',
            'timm_model.bn2.drop',
        ],
    ),
    decode_head=dict(
        type='DSSHead',
        in_channels=[16, 24, 40, 112, 320, 1280],
        in_index=[0, 1, 2, 3, 4, 5],
        # A quarter of VGG16's widths: the encoder's features are as much thinner.
        side_channels=[32, 32, 64, 64, 128, 128],
        loss_decode=dict(type='BinaryCrossEntropyLoss'),
    ),
)
