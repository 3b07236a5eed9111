# A narrow ResNet-18 with five features, for a first look: from scratch, in minutes on a CPU.
_base_ = './segmentor.py'
model = dict(
    backbone=dict(
        type='FeatureTaps',
        backbone=dict(type='ResNet', depth=18, stem_channels=16, base_channels=16),
        features=['relu', 'layer1', 'layer2', 'layer3', 'layer4'],
    ),
)
