# As fdn_efficientnet-lite0_camvid-160x208.py, on the seven features from stride 4 on.
_base_ = ['./sparsemask_efficientnet-lite0-stride4_camvid-160x208.py', '../_base_/fdn_short.py']
model = dict(decode_head={{_base_.fdn_head}})
optim_wrapper = dict(
    constructor='ConnectionsOptimWrapperConstructor', paramwise_cfg=dict(connections_lr=0.08)
)
custom_hooks = [
    dict(
        type='PruneHook',
        retrain_config='{{ fileDirname }}/sparsemask_efficientnet-lite0-stride4_camvid-160x208.py',
    )
]
