# EfficientNet-Lite0 of timm with nine features, finest first, from the ImageNet weights that
# tools/model_converters/efficientnet_lite0.py writes. As in the published code, features are taken
# before their activation. A config adds the decode head and the size of its crops. To train from
# scratch: backbone=dict(backbone=dict(init_cfg=None)).
_base_ = './segmentor.py'
model = dict(
    backbone=dict(
        type='FeatureTaps',
        backbone=dict(
            # mmseg's own TIMMBackbone cannot run without features_only (docs/extending.md).
            type='mmpretrain.TIMMBackbone',
            model_name='tf_efficientnet_lite0',
            init_cfg=dict(type='Pretrained', checkpoint='data/pretrained/efficientnet-lite0.pth'),
        ),
        features=[
            'timm_model.bn1.drop',
            'timm_model.blocks.0',
            'timm_model.blocks.1',
            'timm_model.blocks.2',
            'timm_model.blocks.3',
            'timm_model.blocks.4',
            'timm_model.blocks.5',
            'timm_model.blocks.6',
            'timm_model.bn2.drop',
        ],
    ),
)
