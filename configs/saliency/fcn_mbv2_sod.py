# Baseline: one 1x1 classifier on the last feature, MobileNet-V2, salient objects of SOD.
_base_ = [
    '../_base_/binary_runtime.py',
    '../_base_/models/fcn_mbv2_saliency.py',
    '../_base_/datasets/sod.py',
    '../_base_/schedules/adam_10k.py',
]
model = dict(data_preprocessor=dict(size=(320, 320)))
