# Search on ConvNeXt-T.
_base_ = ['./sparsemask_convnext-tiny_voc.py', '../_base_/fdn_pretrained.py']
model = dict(
    decode_head={{_base_.fdn_head}},
)
custom_hooks = [
    dict(type='PruneHook', retrain_config='{{ fileDirname }}/sparsemask_convnext-tiny_voc.py')
]
