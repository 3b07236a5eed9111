# MobileNet-V2 from its ImageNet weights, in the toolbox's own class.
_base_ = ['./dpc_mbv2_scratch.py', '../mbv2_imagenet.py']
model = dict(backbone=dict(init_cfg={{_base_.mbv2_imagenet}}))
