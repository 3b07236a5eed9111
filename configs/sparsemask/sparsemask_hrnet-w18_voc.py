# The decoder found on MobileNet-V2, transferred to HRNet-W18 (SparseMask, Section 4.3).
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/hrnet_w18.py',
    '../_base_/datasets/voc12_aug.py',
    '../_base_/schedules/sgd_50e.py',
]
model = dict(
    data_preprocessor=dict(size=(513, 513)),
    decode_head=dict(
        type='SparseMaskHead',
        connectivity=dict(source='sparsemask_mbv2_voc', strides=[4, 8, 16, 32]),
        in_channels=[18, 36, 72, 144],
        in_index=[0, 1, 2, 3],
        strides=[4, 8, 16, 32],
        channels=256,
        num_classes=21,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    ),
)
