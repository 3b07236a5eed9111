# Baseline: DeepLab-V3 on VOC 2012 + SBD.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/deeplabv3_mbv2.py',
    '../_base_/datasets/voc12_aug.py',
    '../_base_/schedules/sgd_50e.py',
]
model = dict(
    data_preprocessor=dict(size=(513, 513)),
    decode_head=dict(num_classes=21),
)
