# The found decoder, MobileNet-V2, boundaries of BSDS500.
_base_ = [
    '../_base_/binary_runtime.py',
    '../_base_/models/sparsemask_mbv2_edge.py',
    '../_base_/datasets/bsds500.py',
    '../_base_/schedules/adam_10k.py',
]
model = dict(data_preprocessor=dict(size=(320, 320)))
