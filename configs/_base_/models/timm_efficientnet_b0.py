# A model of timm through the toolbox's wrapper: strides 2, 4, 8, 16, 32. timm downloads its weights
# while the model is built; --cfg-options model.backbone.pretrained=True asks for that.
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
        type='TIMMBackbone', model_name='efficientnet_b0', features_only=True, pretrained=False
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
