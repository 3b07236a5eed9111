# Baseline: one 1x1 classifier on the encoder's last feature.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/mbv2_features_imagenet.py',
    '../_base_/datasets/voc12_aug.py',
    '../_base_/schedules/sgd_50e.py',
]
model = dict(
    data_preprocessor=dict(size=(513, 513)),
    backbone=dict(features=['conv2']),
    decode_head=dict(
        type='FCNHead',
        in_channels=1280,
        in_index=0,
        channels=1280,
        num_convs=0,
        concat_input=False,
        dropout_ratio=0.0,
        num_classes=21,
        align_corners=True,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    ),
)
