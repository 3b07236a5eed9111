# Search on EfficientNet-Lite0, from ImageNet weights, for salient objects of SOD, for CPUs.
_base_ = ['./sparsemask_efficientnet-lite0_sod-160x160.py', '../_base_/fdn_short.py']
model = dict(decode_head={{_base_.fdn_head}})
optim_wrapper = dict(
    constructor='ConnectionsOptimWrapperConstructor', paramwise_cfg=dict(connections_lr=0.012)
)
custom_hooks = [
    dict(
        type='PruneHook',
        retrain_config='{{ fileDirname }}/sparsemask_efficientnet-lite0_sod-160x160.py',
    )
]
