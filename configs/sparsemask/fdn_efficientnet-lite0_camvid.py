# Search on EfficientNet-Lite0, from ImageNet weights, on CamVid. The schedule is short, so the
# sparse loss weighs ten times the paper's 0.01, and connection weights learn at four times the rate
# of the rest.
_base_ = './sparsemask_efficientnet-lite0_camvid.py'
model = dict(
    decode_head=dict(
        type='FDNHead',
        connectivity='fdn',
        connections=dict(type='RelaxedConnections', max_weight=2.0, noise_std=0.1),
        loss_connectivity=dict(type='SparseConnectivityLoss', loss_weight=0.1),
    ),
)
optim_wrapper = dict(
    constructor='ConnectionsOptimWrapperConstructor', paramwise_cfg=dict(connections_lr=0.08)
)
custom_hooks = [
    dict(
        type='PruneHook',
        retrain_config='{{ fileDirname }}/sparsemask_efficientnet-lite0_camvid.py',
    )
]
