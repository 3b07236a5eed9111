# ResNet-101 with its stem as the finest feature: strides 2, 4, 8, 16, 32. As in the paper and its
# published code: encoder features are activated, and the decoder starts as it is drawn.
_base_ = './sparsemask_resnet50.py'
model = dict(
    backbone=dict(
        backbone=dict(depth=101, init_cfg=dict(checkpoint='torchvision://resnet101')),
    ),
    decode_head=dict(act_encoder=True, balanced=False),
)
