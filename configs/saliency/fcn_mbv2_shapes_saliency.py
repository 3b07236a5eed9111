# Baseline: FCN on MobileNet-V2, salient objects of the embedded data set: minutes on a CPU.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/mbv2_features.py',
    '../_base_/datasets/shapes_saliency.py',
    '../_base_/schedules/sgd_600_scratch.py',
]
model = dict(
    data_preprocessor=dict(size=(64, 64)),
    backbone=dict(
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
