# Search on the embedded data set: minutes on a CPU.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/fdn_mbv2.py',
    '../_base_/datasets/shapes.py',
    '../_base_/schedules/sgd_600_scratch.py',
]
model = dict(
    data_preprocessor=dict(size=(64, 64)),
    decode_head=dict(
        num_classes=8,
        # Made for hundreds of iterations, where the paper's 0.01 is made for 33,000.
        loss_connectivity=dict(loss_weight=0.2),
    ),
)
custom_hooks = [
    dict(
        type='PruneHook',
        interval=20,
        image_interval=100,
        retrain_config='{{ fileDirname }}/sparsemask_mbv2_shapes.py',
    )
]
