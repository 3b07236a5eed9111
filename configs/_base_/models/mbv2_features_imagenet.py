# The checkpoint named in mmpretrain's own metafile (mobilenet-v2_8xb32_in1k); the original
# distribution has the same file under https://download.openmmlab.com/mmclassification/v0/.
_base_ = './mbv2_features.py'
checkpoint = 'https://mmassets.onedl.ai/mmclassification/v0/mobilenet_v2/mobilenet_v2_batch256_imagenet_20200708-3b2dc3af.pth'  # noqa: E501
model = dict(
    backbone=dict(
        backbone=dict(
            init_cfg=dict(type='Pretrained', checkpoint=checkpoint, prefix='backbone'),
        ),
    ),
)
