# Search on CamVid at a size for CPUs, from scratch, for a decoder of at most so many parameters.
# Another budget: --cfg-options model.decode_head.loss_connectivity.budget.parameters=150000
_base_ = ['./fdn_mbv2_camvid-96x128.py']
model = dict(
    decode_head=dict(
        loss_connectivity=dict(
            _delete_=True,
            type='BudgetLoss',
            budget=dict(parameters=300000),
            # The target comes down over a fifth of the search, once it has begun to learn.
            ramp=(200, 600),
            controller=dict(eta=0.03),
        ),
    ),
)
optim_wrapper = dict(
    constructor='ConnectionsOptimWrapperConstructor', paramwise_cfg=dict(connections_lr=0.08)
)
custom_hooks = [
    dict(
        type='PruneHook',
        retrain_config='{{ fileDirname }}/sparsemask_mbv2_camvid-96x128.py',
    )
]
