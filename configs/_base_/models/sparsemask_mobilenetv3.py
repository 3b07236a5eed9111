# MobileNet-V3 large, the last block of each resolution: strides 2, 4, 8, 16, 32. ImageNet weights
# of mmpretrain's own metafile.
_base_ = './sparsemask_five_features.py'
checkpoint = 'https://mmassets.onedl.ai/mmclassification/v0/mobilenet_v3/convert/mobilenet_v3_large-3ea3c186.pth'  # noqa: E501
model = dict(
    backbone=dict(
        type='FeatureTaps',
        backbone=dict(
            type='mmpretrain.MobileNetV3',
            arch='large',
            init_cfg=dict(type='Pretrained', checkpoint=checkpoint, prefix='backbone'),
        ),
        features=['layer1', 'layer3', 'layer6', 'layer12', 'layer16'],
    ),
    decode_head=dict(in_channels=[16, 24, 40, 112, 960], channels=64),
)
