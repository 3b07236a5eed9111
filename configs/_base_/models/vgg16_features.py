# VGG16 with the features a config names, ImageNet weights of mmpretrain's own metafile
# (vgg16_8xb32_in1k); the original distribution has the same file under
# https://download.openmmlab.com/mmclassification/v0/.
_base_ = './segmentor.py'
checkpoint = 'https://mmassets.onedl.ai/mmclassification/v0/vgg/vgg16_batch256_imagenet_20210208-db26f1a5.pth'  # noqa: E501
model = dict(
    backbone=dict(
        type='FeatureTaps',
        backbone=dict(
            type='mmpretrain.VGG',
            depth=16,
            init_cfg=dict(type='Pretrained', checkpoint=checkpoint, prefix='backbone'),
        ),
        # conv2_2, conv3_3, conv4_3, conv5_3, pool5: strides 2 to 32.
        features=['features.4', 'features.8', 'features.12', 'features.16', 'features.17'],
    ),
)
