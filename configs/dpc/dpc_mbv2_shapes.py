# The published cell on MobileNet-V2, the embedded shapes.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/dpc_mbv2.py',
    '../_base_/datasets/shapes.py',
    '../_base_/schedules/sgd_600_scratch.py',
]
model = dict(
    data_preprocessor=dict(size=(96, 96)),
    # 96x96 images: at output stride 8 the cell still sees 12x12 positions.
    backbone=dict(init_cfg=None, strides=(1, 2, 2, 1, 1, 1, 1), dilations=(1, 1, 1, 2, 2, 2, 2)),
    # Rates are taken as they stand: at 8 they would be doubled, beyond the 12x12 positions.
    decode_head=dict(channels=64, num_classes=6),
)
