# Search on CamVid.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/fdn_mbv2.py',
    '../_base_/datasets/camvid.py',
    '../_base_/schedules/sgd_12k.py',
]
model = dict(
    data_preprocessor=dict(size=(360, 480)),
    decode_head=dict(
        num_classes=11,
        # 12,000 iterations where the paper has 33,000.
        loss_connectivity=dict(loss_weight=0.03),
    ),
)
custom_hooks = [
    dict(
        type='PruneHook',
        retrain_config='{{ fileDirname }}/sparsemask_mbv2_camvid.py',
    )
]
