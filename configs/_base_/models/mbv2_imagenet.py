# ImageNet weights of MobileNet-V2, the file named in mmpretrain's metafile
# (mobilenet-v2_8xb32_in1k). mbv2_features.py says how a config trains from scratch instead.
mbv2_imagenet = dict(
    type='Pretrained',
    checkpoint='https://mmassets.onedl.ai/mmclassification/v0/mobilenet_v2/mobilenet_v2_batch256_imagenet_20200708-3b2dc3af.pth',  # noqa: E501
    prefix='backbone',
)
