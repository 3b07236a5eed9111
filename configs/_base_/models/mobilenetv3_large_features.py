# MobileNet-V3 large, the last block of each resolution: strides 2, 4, 8, 16, 32. ImageNet weights
# of mmpretrain's own metafile.
checkpoint = 'https://mmassets.onedl.ai/mmclassification/v0/mobilenet_v3/convert/mobilenet_v3_large-3ea3c186.pth'  # noqa: E501
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
            type='mmpretrain.MobileNetV3',
            arch='large',
            init_cfg=dict(type='Pretrained', checkpoint=checkpoint, prefix='backbone'),
        ),
        features=['layer1', 'layer3', 'layer6', 'layer12', 'layer16'],
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
