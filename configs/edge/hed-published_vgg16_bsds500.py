# HED with its published weights, as tools/model_converters/hed.py writes them: input BGR minus
# Caffe's mean, pooling that keeps what is left at the border. To test, not to train:
# python tools/test.py CONFIG data/pretrained/hed_vgg16_bsds500.pth
_base_ = './hed_vgg16_bsds500.py'
model = dict(
    data_preprocessor=dict(
        mean=[104.00699, 116.66877, 122.67892], std=[1.0, 1.0, 1.0], bgr_to_rgb=False
    ),
    backbone=dict(backbone=dict(ceil_mode=True, init_cfg=None)),
)
