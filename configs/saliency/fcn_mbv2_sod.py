# Baseline: one 1x1 classifier on the last feature, MobileNet-V2, salient objects of SOD.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/mbv2_imagenet.py',
    '../_base_/models/mbv2_features.py',
    '../_base_/datasets/sod.py',
    '../_base_/schedules/adam_10k.py',
]
model = dict(
    data_preprocessor=dict(size=(320, 320)),
    backbone=dict(
        backbone=dict(
            init_cfg={{_base_.mbv2_imagenet}},
        ),
        features=['conv2'],
    ),
    decode_head=dict(
        type='FCNHead',
        in_channels=1280,
        in_index=0,
        channels=1280,
        num_convs=0,
        concat_input=False,
        dropout_ratio=0.0,
        num_classes=2,
        out_channels=1,
        threshold=0.5,
        align_corners=True,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True, avg_non_ignore=True),
    ),
)
tta_model = dict(type='BinaryTTAModel')
