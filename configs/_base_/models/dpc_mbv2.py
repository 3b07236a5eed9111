# The checkpoint of mbv2_features_imagenet.py, in the toolbox's own MobileNet-V2.
_base_ = './dpc_mbv2_scratch.py'
checkpoint = 'https://mmassets.onedl.ai/mmclassification/v0/mobilenet_v2/mobilenet_v2_batch256_imagenet_20200708-3b2dc3af.pth'  # noqa: E501
model = dict(
    backbone=dict(
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint, prefix='backbone'),
    ),
)
