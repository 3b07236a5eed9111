# Baseline: SegFormer's decoder on EfficientNet-Lite0, on CamVid at a size for CPUs.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/segformer_efficientnet-lite0.py',
    '../_base_/datasets/camvid_160x208.py',
    '../_base_/schedules/sgd_700.py',
]
model = dict(
    data_preprocessor=dict(size=(160, 208)),
    decode_head=dict(num_classes=11),
)
randomness = dict(seed=0)
