# A model of timm, through the wrapper of MMPretrain: strides 2, 4, 8, 16, 32. timm downloads its
# weights while the model is built; --cfg-options model.backbone.pretrained=True asks for that.
_base_ = './sparsemask_five_features.py'
model = dict(
    backbone=dict(
        type='TIMMBackbone', model_name='efficientnet_b0', features_only=True, pretrained=False
    ),
    decode_head=dict(in_channels=[16, 24, 40, 112, 320], channels=64),
)
