# The decoder found on MobileNet-V2, transferred to VGG16's five features.
_base_ = './vgg16_features.py'
model = dict(
    decode_head=dict(
        type='SparseMaskHead',
        connectivity=dict(source='sparsemask_mbv2_voc', strides=[2, 4, 8, 16, 32]),
        in_channels=[128, 256, 512, 512, 512],
        in_index=[0, 1, 2, 3, 4],
        strides=[2, 4, 8, 16, 32],
        channels=512,
        num_classes=21,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    ),
)
