# ResNet-50 with its stem as the finest feature: strides 2, 4, 8, 16, 32.
_base_ = './sparsemask_five_features.py'
model = dict(
    backbone=dict(
        type='FeatureTaps',
        backbone=dict(
            type='ResNet',
            depth=50,
            norm_cfg=dict(type='BN'),
            init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50'),
        ),
        features=['relu', 'layer1', 'layer2', 'layer3', 'layer4'],
    ),
    decode_head=dict(in_channels=[64, 256, 512, 1024, 2048]),
)
