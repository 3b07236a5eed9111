# The decoder found on MobileNet-V2, transferred to features of strides 2 to 32 (SparseMask, Section
# 4.3). A model adds the backbone and its in_channels.
_base_ = './segmentor.py'
model = dict(
    decode_head=dict(
        type='SparseMaskHead',
        connectivity=dict(source='sparsemask_mbv2_voc', strides=[2, 4, 8, 16, 32]),
        in_index=[0, 1, 2, 3, 4],
        strides=[2, 4, 8, 16, 32],
        channels=512,
        num_classes=21,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    ),
)
