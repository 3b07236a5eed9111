# Baseline: HED on MobileNet-V2, outlines of the embedded data set: minutes on a CPU.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/mbv2_features.py',
    '../_base_/datasets/shapes_edge.py',
    '../_base_/schedules/sgd_600_scratch.py',
]
model = dict(
    data_preprocessor=dict(size=(64, 64)),
    backbone=dict(
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
