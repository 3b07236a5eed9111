# The decoder found on MobileNet-V2, transferred to HRNet-W18 (SparseMask, Section 4.3).
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/sparsemask_hrnet-w18.py',
    '../_base_/datasets/voc12_aug.py',
    '../_base_/schedules/sgd_50e.py',
]
model = dict(data_preprocessor=dict(size=(513, 513)))
