# Baseline: HED, side outputs and their fusion, VGG16, boundaries of BSDS500.
_base_ = [
    '../_base_/binary_runtime.py',
    '../_base_/models/vgg16_features.py',
    '../_base_/datasets/bsds500.py',
    '../_base_/schedules/adam_10k.py',
]
model = dict(
    data_preprocessor=dict(size=(320, 320)),
    backbone=dict(
        features=['features.1', 'features.4', 'features.8', 'features.12', 'features.16'],
    ),
    decode_head=dict(
        type='HEDHead',
        in_channels=[64, 128, 256, 512, 512],
        in_index=[0, 1, 2, 3, 4],
        loss_decode=dict(type='BalancedBCELoss'),
    ),
)
