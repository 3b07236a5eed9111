# MobileNet-V2 with its nine features, finest first, from scratch. A config adds the decode head and
# the size of its crops: model = dict(data_preprocessor=dict(size=...), decode_head=...).
_base_ = './segmentor.py'
model = dict(
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
)
