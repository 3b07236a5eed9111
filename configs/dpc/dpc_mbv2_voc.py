# The published cell on MobileNet-V2, PASCAL VOC 2012.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/dpc_mbv2.py',
    '../_base_/datasets/voc12_aug.py',
    '../_base_/schedules/sgd_30k.py',
]
# The published training: batch normalisation that changes slowly, from pretrained values.
norm_cfg = dict(type='SyncBN', requires_grad=True, eps=1e-5, momentum=3e-4)
model = dict(
    data_preprocessor=dict(size=(513, 513)),
    backbone=dict(norm_cfg=norm_cfg),
    decode_head=dict(norm_cfg=norm_cfg, num_classes=21),
)
