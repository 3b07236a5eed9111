# Search on Cityscapes.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/fdn_mbv2.py',
    '../_base_/datasets/cityscapes_769.py',
    '../_base_/schedules/sgd_90k.py',
]
# As in the published search: scale and shift stay as they are, statistics move slowly.
norm_cfg = dict(type='BN', momentum=3e-4, requires_grad=False)
model = dict(
    data_preprocessor=dict(size=(769, 769)),
    backbone=dict(backbone=dict(norm_cfg=norm_cfg)),
    decode_head=dict(
        num_classes=19,
        norm_cfg=norm_cfg,
    ),
)
optim_wrapper = dict(
    optimizer=dict(lr=0.005), paramwise_cfg=dict(custom_keys={'decode_head': dict(lr_mult=10.0)})
)
custom_hooks = [
    dict(type='PruneHook', retrain_config='{{ fileDirname }}/sparsemask_mbv2_cityscapes.py')
]
