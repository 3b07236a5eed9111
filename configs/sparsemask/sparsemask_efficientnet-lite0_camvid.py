# Train a pruned decoder on EfficientNet-Lite0, from ImageNet weights, on CamVid.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/sparsemask_efficientnet-lite0.py',
    '../_base_/datasets/camvid.py',
    '../_base_/schedules/sgd_700.py',
]
model = dict(
    data_preprocessor=dict(size=(360, 480)),
    decode_head=dict(num_classes=11),
)
randomness = dict(seed=0)
