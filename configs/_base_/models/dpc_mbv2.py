# MobileNet-V2 at output stride 16, from its ImageNet weights in MMSegmentation's own class, with a
# dense prediction cell on its 320 channels. A config adds num_classes, the size of its crops and,
# if not the published one, the cell. To train from scratch: backbone=dict(init_cfg=None).
_base_ = ['./segmentor.py', './mbv2_imagenet.py']
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    backbone=dict(
        type='MobileNetV2',
        widen_factor=1.0,
        strides=(1, 2, 2, 2, 1, 1, 1),
        dilations=(1, 1, 1, 1, 1, 2, 2),
        out_indices=(1, 2, 4, 6),
        norm_cfg=norm_cfg,
        init_cfg={{_base_.mbv2_imagenet}},
    ),
    decode_head=dict(
        type='DPCHead',
        in_channels=320,
        in_index=3,
        channels=256,
        cell='dpc_cityscapes',
        output_stride=16,
        dropout_ratio=0.1,
        norm_cfg=norm_cfg,
        align_corners=True,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    ),
)
