# ImageNet weights of MobileNet-V2, the file named in mmpretrain's metafile
# (mobilenet-v2_8xb32_in1k). A config puts them in with
# model = dict(backbone=dict(backbone=dict(init_cfg={{_base_.mbv2_imagenet}}))).
mbv2_imagenet = dict(
    type='Pretrained',
    checkpoint='https://mmassets.onedl.ai/mmclassification/v0/mobilenet_v2/mobilenet_v2_batch256_imagenet_20200708-3b2dc3af.pth',  # noqa: E501
    prefix='backbone',
)
