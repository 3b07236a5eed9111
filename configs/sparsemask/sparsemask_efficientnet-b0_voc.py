# The decoder found on MobileNet-V2, transferred to EfficientNet-B0 of timm.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/timm_efficientnet_b0.py',
    '../_base_/datasets/voc12_aug.py',
    '../_base_/schedules/sgd_50e.py',
]
model = dict(
    data_preprocessor=dict(size=(513, 513)),
    decode_head=dict(
        type='SparseMaskHead',
        connectivity=dict(source='sparsemask_mbv2_voc', strides=[2, 4, 8, 16, 32]),
        in_channels=[16, 24, 40, 112, 320],
        in_index=[0, 1, 2, 3, 4],
        strides=[2, 4, 8, 16, 32],
        channels=64,
        num_classes=21,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    ),
)
