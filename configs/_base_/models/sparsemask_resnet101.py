# ResNet-101 with its stem as the finest feature: strides 2, 4, 8, 16, 32.
_base_ = './sparsemask_resnet50.py'
model = dict(
    backbone=dict(
        backbone=dict(depth=101, init_cfg=dict(checkpoint='torchvision://resnet101')),
    ),
)
