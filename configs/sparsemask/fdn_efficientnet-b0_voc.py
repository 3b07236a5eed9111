# Search on EfficientNet-B0 of timm.
_base_ = ['./sparsemask_efficientnet-b0_voc.py', '../_base_/fdn_pretrained.py']
model = dict(
    decode_head={{_base_.fdn_head}},
)
custom_hooks = [
    dict(type='PruneHook', retrain_config='{{ fileDirname }}/sparsemask_efficientnet-b0_voc.py')
]
