# DSS on six features of MobileNet-V2: side outputs with short connections.
_base_ = './mbv2_features.py'
model = dict(
    backbone=dict(features=['conv1', 'layer2', 'layer3', 'layer5', 'layer7', 'conv2']),
    decode_head=dict(
        type='DSSHead',
        in_channels=[32, 24, 32, 96, 320, 1280],
        in_index=[0, 1, 2, 3, 4, 5],
        # A quarter of VGG16's widths: the encoder's features are as much thinner.
        side_channels=[32, 32, 64, 64, 128, 128],
        loss_decode=dict(type='BinaryCrossEntropyLoss'),
    ),
)
