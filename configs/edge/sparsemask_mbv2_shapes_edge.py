# The found decoder, MobileNet-V2, outlines of the embedded data set: minutes on a CPU.
_base_ = [
    '../_base_/binary_runtime.py',
    '../_base_/models/sparsemask_mbv2_edge.py',
    '../_base_/datasets/shapes_edge.py',
    '../_base_/schedules/sgd_600_scratch.py',
]
model = dict(
    data_preprocessor=dict(size=(64, 64)),
    # From scratch.
    backbone=dict(backbone=dict(_delete_=True, type='mmpretrain.MobileNetV2')),
)
