# The decoder found on MobileNet-V2, transferred to features of strides 4 to 32, which transformers
# have (SparseMask, Section 4.3). A model adds the backbone and its in_channels.
_base_ = './segmentor.py'
model = dict(
    decode_head=dict(
        type='SparseMaskHead',
        connectivity=dict(source='sparsemask_mbv2_voc', strides=[4, 8, 16, 32]),
        in_index=[0, 1, 2, 3],
        strides=[4, 8, 16, 32],
        channels=256,
        num_classes=21,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    ),
)
