# Search on MobileNet-V3 large.
_base_ = ['./sparsemask_mobilenetv3_voc.py', '../_base_/fdn_pretrained.py']
model = dict(
    # MobileNet-V3's own eps; the rest as `fdn_norm`.
    backbone=dict(
        backbone=dict(norm_cfg=dict(type='BN', momentum=3e-4, requires_grad=False, eps=0.001))
    ),
    decode_head={{_base_.fdn_head}},
)
custom_hooks = [
    dict(type='PruneHook', retrain_config='{{ fileDirname }}/sparsemask_mobilenetv3_voc.py')
]
