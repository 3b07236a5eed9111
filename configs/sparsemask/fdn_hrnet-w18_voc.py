# Search on HRNet-W18.
_base_ = ['./sparsemask_hrnet-w18_voc.py', '../_base_/fdn_pretrained.py']
model = dict(
    backbone=dict(norm_cfg={{_base_.fdn_norm}}),
    decode_head={{_base_.fdn_head}},
)
custom_hooks = [
    dict(type='PruneHook', retrain_config='{{ fileDirname }}/sparsemask_hrnet-w18_voc.py')
]
