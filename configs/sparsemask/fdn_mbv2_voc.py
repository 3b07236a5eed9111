# Search on VOC 2012 + SBD with the paper's protocol.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/mbv2_imagenet.py',
    '../_base_/models/fdn_mbv2.py',
    '../_base_/datasets/voc12_aug.py',
    '../_base_/schedules/sgd_50e.py',
]
model = dict(
    data_preprocessor=dict(size=(513, 513)),
    backbone=dict(backbone=dict(init_cfg={{_base_.mbv2_imagenet}})),
    decode_head=dict(
        num_classes=21,
        # As in the published search: long run, pretrained weights, normalisation kept as it is.
        norm_cfg=dict(type='BN', momentum=3e-4, requires_grad=False),
    ),
)
custom_hooks = [
    dict(
        type='PruneHook',
        retrain_config='{{ fileDirname }}/sparsemask_mbv2_voc.py',
    )
]
