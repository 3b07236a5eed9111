# Train a pruned decoder on ResNet-18, from scratch, on the embedded data set: minutes on a CPU.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/sparsemask_resnet50.py',
    '../_base_/datasets/shapes.py',
    '../_base_/schedules/adamw_400_scratch.py',
]
model = dict(
    data_preprocessor=dict(size=(96, 96)),
    backbone=dict(backbone=dict(depth=18, init_cfg=None)),
    decode_head=dict(in_channels=[64, 64, 128, 256, 512], channels=64, num_classes=6),
)
