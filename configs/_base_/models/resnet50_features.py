# ResNet-50 with its stem as the finest feature: strides 2, 4, 8, 16, 32.
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
    ),
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
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
