# Baseline: HED, side outputs and their fusion, MobileNet-V2, boundaries of BSDS500.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/mbv2_imagenet.py',
    '../_base_/models/mbv2_features.py',
    '../_base_/datasets/bsds500.py',
    '../_base_/schedules/adam_10k.py',
]
model = dict(
    data_preprocessor=dict(size=(320, 320)),
    backbone=dict(
        backbone=dict(
            init_cfg={{_base_.mbv2_imagenet}},
        ),
        features=['conv1', 'layer2', 'layer3', 'layer5', 'layer7'],
    ),
    decode_head=dict(
        type='HEDHead',
        in_channels=[32, 24, 32, 96, 320],
        in_index=[0, 1, 2, 3, 4],
        loss_decode=dict(type='BalancedBCELoss'),
    ),
)
tta_model = dict(type='BinaryTTAModel')
