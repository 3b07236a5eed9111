# HED on five features of MobileNet-V2: side outputs and their fusion.
_base_ = './mbv2_features.py'
model = dict(
    backbone=dict(features=['conv1', 'layer2', 'layer3', 'layer5', 'layer7']),
    decode_head=dict(
        type='HEDHead',
        in_channels=[32, 24, 32, 96, 320],
        in_index=[0, 1, 2, 3, 4],
        loss_decode=dict(type='BalancedBCELoss'),
    ),
)
