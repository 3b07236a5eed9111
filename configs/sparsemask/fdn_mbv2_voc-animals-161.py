# Search on VOC's images of animals, at a size for CPUs. The schedule is short, so the sparse loss
# weighs three times the paper's 0.01, and connection weights learn at a rate of their own. (Ten
# times, as in other short searches, leaves a few connections before the decoder has learned much.)
_base_ = './sparsemask_mbv2_voc-animals-161.py'
model = dict(
    decode_head=dict(
        type='FDNHead',
        connectivity='fdn',
        connections=dict(type='RelaxedConnections', max_weight=2.0, noise_std=0.1),
        loss_connectivity=dict(type='SparseConnectivityLoss', loss_weight=0.03),
    )
)
optim_wrapper = dict(
    constructor='ConnectionsOptimWrapperConstructor', paramwise_cfg=dict(connections_lr=0.08)
)
custom_hooks = [
    dict(type='PruneHook', retrain_config='{{ fileDirname }}/sparsemask_mbv2_voc-animals-161.py')
]
