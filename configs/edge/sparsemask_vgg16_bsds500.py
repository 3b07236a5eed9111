# The found decoder, VGG16, boundaries of BSDS500.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/vgg16_features.py',
    '../_base_/datasets/bsds500.py',
    '../_base_/schedules/adam_10k.py',
]
model = dict(
    data_preprocessor=dict(size=(320, 320)),
    decode_head=dict(
        type='SparseMaskHead',
        connectivity=dict(source='sparsemask_mbv2_voc', strides=[2, 4, 8, 16, 32]),
        in_channels=[128, 256, 512, 512, 512],
        in_index=[0, 1, 2, 3, 4],
        strides=[2, 4, 8, 16, 32],
        channels=64,
        num_classes=2,
        out_channels=1,
        threshold=0.5,
        norm_cfg=dict(type='BN'),
        act_cfg=dict(type='ReLU6'),
        align_corners=True,
        loss_decode=dict(type='BalancedBCELoss'),
    ),
)
tta_model = dict(type='BinaryTTAModel')
