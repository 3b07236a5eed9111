# Search on EfficientNet-Lite0, from ImageNet weights, for boundaries of BSDS500 at a size for CPUs.
_base_ = './sparsemask_efficientnet-lite0_bsds500-160x160.py'
model = dict(
    decode_head=dict(
        type='FDNHead',
        connectivity='fdn',
        connections=dict(type='RelaxedConnections', max_weight=2.0, noise_std=0.1),
        loss_connectivity=dict(type='SparseConnectivityLoss', loss_weight=0.1),
    ),
)
optim_wrapper = dict(
    constructor='ConnectionsOptimWrapperConstructor', paramwise_cfg=dict(connections_lr=0.012)
)
custom_hooks = [
    dict(
        type='PruneHook',
        retrain_config='{{ fileDirname }}/sparsemask_efficientnet-lite0_bsds500-160x160.py',
    )
]
