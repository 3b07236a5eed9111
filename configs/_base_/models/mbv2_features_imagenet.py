# mbv2_features.py with ImageNet weights.
_base_ = ['../mbv2_imagenet.py', './mbv2_features.py']
model = dict(backbone=dict(backbone=dict(init_cfg={{_base_.mbv2_imagenet}})))
