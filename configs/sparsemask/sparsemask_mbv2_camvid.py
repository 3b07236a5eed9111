# Train a pruned decoder on CamVid.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/sparsemask_mbv2.py',
    '../_base_/datasets/camvid.py',
    '../_base_/schedules/sgd_12k.py',
]
model = dict(
    data_preprocessor=dict(size=(360, 480)),
    decode_head=dict(num_classes=11),
)
