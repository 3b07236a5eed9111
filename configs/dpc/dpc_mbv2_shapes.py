# The published cell on MobileNet-V2, the embedded shapes.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/dpc_mbv2_scratch.py',
    '../_base_/datasets/shapes.py',
    '../_base_/schedules/sgd_600_scratch.py',
]
model = dict(
    data_preprocessor=dict(size=(64, 64)),
    # 64x64 images: at output stride 8 the cell still sees 8x8 positions.
    backbone=dict(strides=(1, 2, 2, 1, 1, 1, 1), dilations=(1, 1, 1, 2, 2, 2, 2)),
    # Rates are taken as they stand: at 8 they would be doubled, beyond the 8x8 positions.
    decode_head=dict(channels=64, num_classes=8),
)
