# A pruned decoder on EfficientNet-Lite0's nine features. Set num_classes; a retrain.py sets
# connectivity.
_base_ = './efficientnet-lite0_features.py'
model = dict(
    decode_head=dict(
        type='SparseMaskHead',
        connectivity='sparsemask_mbv2_voc',
        in_channels=[32, 16, 24, 40, 80, 112, 192, 320, 1280],
        in_index=[0, 1, 2, 3, 4, 5, 6, 7, 8],
        strides=[2, 2, 4, 8, 16, 16, 32, 32, 32],
        channels=64,
        num_classes=21,
        norm_cfg=dict(type='BN'),
        act_cfg=dict(type='ReLU6'),
        align_corners=True,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    ),
)
