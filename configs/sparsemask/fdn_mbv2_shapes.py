# Search on the embedded data set: minutes on a CPU.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/fdn_mbv2.py',
    '../_base_/datasets/shapes.py',
    '../_base_/schedules/adamw_400_scratch.py',
]
model = dict(
    data_preprocessor=dict(size=(96, 96)),
    decode_head=dict(
        num_classes=6,
        # Made for hundreds of iterations, where the paper's 0.01 is made for 33,000.
        loss_connectivity=dict(loss_weight=0.05),
    ),
)
# AdamW moves every weight by about its learning rate: at three times the network's, a connection
# crosses its range of 2 in a few hundred iterations.
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys={'connections': dict(lr_mult=3.0, decay_mult=0.0)})
)
custom_hooks = [
    dict(
        type='PruneHook',
        interval=20,
        image_interval=100,
        retrain_config='{{ fileDirname }}/sparsemask_mbv2_shapes.py',
    )
]
