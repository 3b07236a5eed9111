# Search on MobileNet-V3 large.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/mobilenetv3_large_features.py',
    '../_base_/datasets/voc12_aug.py',
    '../_base_/schedules/sgd_50e.py',
]
# As in the published search: scale and shift stay as they are, statistics move slowly.
norm_cfg = dict(type='BN', momentum=3e-4, requires_grad=False)
model = dict(
    data_preprocessor=dict(size=(513, 513)),
    backbone=dict(backbone=dict(norm_cfg=dict(norm_cfg, eps=0.001))),
    decode_head=dict(
        type='FDNHead',
        in_channels=[16, 24, 40, 112, 960],
        in_index=[0, 1, 2, 3, 4],
        strides=[2, 4, 8, 16, 32],
        channels=64,
        num_classes=21,
        norm_cfg=norm_cfg,
        connections=dict(type='RelaxedConnections', max_weight=2.0, noise_std=0.1),
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
        loss_connectivity=dict(type='SparseConnectivityLoss', loss_weight=0.01),
    ),
)
custom_hooks = [
    dict(type='PruneHook', retrain_config='{{ fileDirname }}/sparsemask_mobilenetv3_voc.py')
]
