# MobileNet-V2 with its nine features, finest first, from scratch. A config adds the decode head and
# the size of its crops: model = dict(data_preprocessor=dict(size=...), decode_head=...).
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
        backbone=dict(type='mmpretrain.MobileNetV2'),
        features=[
            'conv1',
            'layer1',
            'layer2',
            'layer3',
            'layer4',
            'layer5',
            'layer6',
            'layer7',
            'conv2',
        ],
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
