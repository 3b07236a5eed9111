# Search on ResNet-50.
_base_ = ['./sparsemask_resnet50_voc.py', '../_base_/fdn_pretrained.py']
model = dict(
    backbone=dict(backbone=dict(norm_cfg={{_base_.fdn_norm}})),
    decode_head={{_base_.fdn_head}},
)
custom_hooks = [
    dict(type='PruneHook', retrain_config='{{ fileDirname }}/sparsemask_resnet50_voc.py')
]
