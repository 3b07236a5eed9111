# Baseline: DeepLab-V3 on CamVid at a size for CPUs, from scratch.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/deeplabv3_mbv2.py',
    '../_base_/datasets/camvid_96x128.py',
    '../_base_/schedules/sgd_2k_scratch.py',
]
model = dict(
    data_preprocessor=dict(size=(96, 128)),
    # From scratch.
    backbone=dict(backbone=dict(_delete_=True, type='mmpretrain.MobileNetV2')),
    decode_head=dict(num_classes=11),
)
