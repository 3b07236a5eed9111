# Baseline: DSS, side outputs with short connections, VGG16, salient objects of MSRA-B.
_base_ = [
    '../_base_/binary_runtime.py',
    '../_base_/models/vgg16_features.py',
    '../_base_/datasets/msra_b.py',
    '../_base_/schedules/adam_10k.py',
]
model = dict(
    data_preprocessor=dict(size=(320, 320)),
    backbone=dict(
        features=[
            'features.1',
            'features.4',
            'features.8',
            'features.12',
            'features.16',
            'features.17',
        ],
    ),
    decode_head=dict(
        type='DSSHead',
        in_channels=[64, 128, 256, 512, 512, 512],
        in_index=[0, 1, 2, 3, 4, 5],
        loss_decode=dict(type='BinaryCrossEntropyLoss'),
    ),
)
