# The published cell on ResNet-101, Cityscapes, 769x769 crops.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/dpc_resnet101.py',
    '../_base_/datasets/cityscapes_769.py',
    '../_base_/schedules/sgd_90k.py',
]
model = dict(
    data_preprocessor=dict(size=(769, 769)),
    decode_head=dict(num_classes=19),
)
