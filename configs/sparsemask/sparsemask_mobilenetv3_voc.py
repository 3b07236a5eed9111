# The decoder found on MobileNet-V2, transferred to MobileNet-V3 large (SparseMask, Section 4.3).
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/sparsemask_mobilenetv3.py',
    '../_base_/datasets/voc12_aug.py',
    '../_base_/schedules/sgd_50e.py',
]
model = dict(data_preprocessor=dict(size=(513, 513)))
