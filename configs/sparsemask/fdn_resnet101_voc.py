# Search on ResNet-101.
_base_ = './fdn_resnet50_voc.py'
model = dict(
    backbone=dict(
        backbone=dict(depth=101, init_cfg=dict(checkpoint='torchvision://resnet101')),
    ),
    decode_head=dict(act_encoder=True),
)
custom_hooks = [
    dict(type='PruneHook', retrain_config='{{ fileDirname }}/sparsemask_resnet101_voc.py')
]
