# Search on CamVid at a size for CPUs, from scratch.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/fdn_mbv2.py',
    '../_base_/datasets/camvid_96x128.py',
    '../_base_/schedules/sgd_2k_scratch.py',
]
model = dict(
    data_preprocessor=dict(size=(96, 128)),
    # From scratch.
    backbone=dict(backbone=dict(_delete_=True, type='mmpretrain.MobileNetV2')),
    decode_head=dict(
        num_classes=11,
        # The paper's 0.01 is made for 33,000 iterations.
        loss_connectivity=dict(loss_weight=0.05),
    ),
)
randomness = dict(seed=0)
custom_hooks = [
    dict(
        type='PruneHook',
        stop_after=5,
        retrain_config='{{ fileDirname }}/sparsemask_mbv2_camvid-96x128.py',
    )
]
