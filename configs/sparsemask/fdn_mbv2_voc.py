# Search on VOC 2012 + SBD with the paper's protocol.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/fdn_mbv2.py',
    '../_base_/datasets/voc12_aug.py',
    '../_base_/schedules/sgd_50e.py',
]
# As in the published search: scale and shift stay as they are, statistics move slowly; this suits a
# long run from pretrained weights. Encoder features are activated.
norm_cfg = dict(type='BN', momentum=3e-4, requires_grad=False)
model = dict(
    data_preprocessor=dict(size=(513, 513)),
    backbone=dict(backbone=dict(norm_cfg=norm_cfg)),
    decode_head=dict(num_classes=21, norm_cfg=norm_cfg, act_encoder=True),
)
custom_hooks = [
    dict(
        type='PruneHook',
        retrain_config='{{ fileDirname }}/sparsemask_mbv2_voc.py',
    )
]
