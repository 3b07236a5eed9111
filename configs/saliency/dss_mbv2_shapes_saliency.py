# Baseline: DSS on MobileNet-V2, salient objects of the embedded data set: minutes on a CPU.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/mbv2_features.py',
    '../_base_/datasets/shapes_saliency.py',
    '../_base_/schedules/sgd_600_scratch.py',
]
model = dict(
    data_preprocessor=dict(size=(64, 64)),
    backbone=dict(
        features=['conv1', 'layer2', 'layer3', 'layer5', 'layer7', 'conv2'],
    ),
    decode_head=dict(
        type='DSSHead',
        in_channels=[32, 24, 32, 96, 320, 1280],
        in_index=[0, 1, 2, 3, 4, 5],
        # A quarter of VGG16's widths: the encoder's features are as much thinner.
        side_channels=[32, 32, 64, 64, 128, 128],
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True, avg_non_ignore=True),
    ),
)
tta_model = dict(type='BinaryTTAModel')
# Seven losses add up: at the schedule's rate of 0.05 the training diverges.
optim_wrapper = dict(optimizer=dict(lr=0.01))
