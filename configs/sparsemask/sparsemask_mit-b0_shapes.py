# Train a pruned decoder on MiT-B0, the smallest encoder of SegFormer, from scratch, on the embedded
# data set: minutes on a CPU.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/sparsemask_mit-b2.py',
    '../_base_/datasets/shapes.py',
    '../_base_/schedules/adamw_400_scratch.py',
]
model = dict(
    data_preprocessor=dict(size=(96, 96)),
    backbone=dict(embed_dims=32, num_layers=[2, 2, 2, 2], init_cfg=None),
    decode_head=dict(in_channels=[32, 64, 160, 256], channels=64, num_classes=6),
)
