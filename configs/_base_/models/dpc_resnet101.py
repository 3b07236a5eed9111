# ResNet-101 (the variant with a 3x3 stem) at output stride 16: the larger backbone. The paper's is
# Xception-65, which MMSegmentation does not have; both give 2048 channels.
_base_ = './segmentor.py'
norm_cfg = dict(type='SyncBN', requires_grad=True, eps=1e-5, momentum=3e-4)
model = dict(
    backbone=dict(
        type='ResNetV1c',
        depth=101,
        num_stages=4,
        out_indices=(3,),
        strides=(1, 2, 2, 1),
        dilations=(1, 1, 1, 2),
        norm_cfg=norm_cfg,
        norm_eval=False,
        style='pytorch',
        contract_dilation=True,
        init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://resnet101_v1c'),
    ),
    decode_head=dict(
        type='DPCHead',
        in_channels=2048,
        in_index=0,
        channels=256,
        cell='dpc_cityscapes',
        output_stride=16,
        dropout_ratio=0.1,
        norm_cfg=norm_cfg,
        align_corners=True,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    ),
)
