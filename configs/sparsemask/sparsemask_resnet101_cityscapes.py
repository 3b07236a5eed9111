# The decoder found on MobileNet-V2, transferred to ResNet-101, on Cityscapes.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/sparsemask_resnet101.py',
    '../_base_/datasets/cityscapes_769.py',
    '../_base_/schedules/sgd_90k.py',
]
model = dict(data_preprocessor=dict(size=(769, 769)), decode_head=dict(num_classes=19))
optim_wrapper = dict(
    optimizer=dict(lr=0.005), paramwise_cfg=dict(custom_keys={'decode_head': dict(lr_mult=10.0)})
)
