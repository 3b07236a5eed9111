# MobileNet-V2 with its nine features, finest first, from its ImageNet weights. A config adds the
# decode head and the size of its crops: model = dict(data_preprocessor=dict(size=...),
# decode_head=...). From scratch, as the class starts by itself (init_cfg=None would leave its own
# initialisation out): backbone=dict(backbone=dict(_delete_=True, type='mmpretrain.MobileNetV2')).
_base_ = ['./segmentor.py', './mbv2_imagenet.py']
model = dict(
    backbone=dict(
        type='FeatureTaps',
        backbone=dict(type='mmpretrain.MobileNetV2', init_cfg={{_base_.mbv2_imagenet}}),
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
