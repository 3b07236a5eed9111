# The supernet on MobileNet-V2's nine features. Set num_classes and the sparse loss's weight.
_base_ = ['./mbv2_features.py']
model = dict(
    decode_head=dict(
        type='FDNHead',
        in_channels=[32, 16, 24, 32, 64, 96, 160, 320, 1280],
        in_index=[0, 1, 2, 3, 4, 5, 6, 7, 8],
        strides=[2, 2, 4, 8, 16, 16, 32, 32, 32],
        channels=64,
        num_classes=21,
        norm_cfg=dict(type='BN'),
        act_cfg=dict(type='ReLU6'),
        align_corners=True,
        connections=dict(type='RelaxedConnections', max_weight=2.0, noise_std=0.1),
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
        loss_connectivity=dict(type='SparseConnectivityLoss', loss_weight=0.01),
    ),
)
