# Search on EfficientNet-Lite0, from ImageNet weights, on CamVid at a size for CPUs. The schedule is
# short, so the sparse loss weighs ten times the paper's 0.01, and connection weights learn at a
# rate of their own.
_base_ = ['./sparsemask_efficientnet-lite0_camvid-160x208.py', '../_base_/fdn_short.py']
model = dict(decode_head={{_base_.fdn_head}})
optim_wrapper = dict(
    constructor='ConnectionsOptimWrapperConstructor', paramwise_cfg=dict(connections_lr=0.08)
)
custom_hooks = [
    dict(
        type='PruneHook',
        retrain_config='{{ fileDirname }}/sparsemask_efficientnet-lite0_camvid-160x208.py',
    )
]
