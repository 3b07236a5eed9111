# Search on the embedded data set: minutes on a CPU.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/fdn_mbv2.py',
    '../_base_/datasets/shapes.py',
    '../_base_/schedules/adamw_400_scratch.py',
]
model = dict(
    data_preprocessor=dict(size=(96, 96)),
    # From scratch.
    backbone=dict(backbone=dict(_delete_=True, type='mmpretrain.MobileNetV2')),
    decode_head=dict(
        num_classes=6,
        # Made for hundreds of iterations, where the paper's 0.01 is made for 33,000.
        loss_connectivity=dict(loss_weight=0.07),
    ),
)
# AdamW moves every weight by about its learning rate: at this one, a connection crosses its range
# of 2 within the search, whatever the network's.
optim_wrapper = dict(
    constructor='ConnectionsOptimWrapperConstructor', paramwise_cfg=dict(connections_lr=0.012)
)
# Every stage has a short way to the loss: the supernet needs fewer iterations than what is left.
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=30, by_epoch=False),
    dict(type='PolyLR', eta_min=0.0, power=0.9, begin=30, end=300, by_epoch=False),
]
train_cfg = dict(max_iters=300, val_interval=300)
custom_hooks = [
    dict(
        type='PruneHook',
        interval=25,
        image_interval=100,
        retrain_config='{{ fileDirname }}/sparsemask_mbv2_shapes.py',
    )
]
