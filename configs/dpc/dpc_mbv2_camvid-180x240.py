# The published cell on MobileNet-V2, CamVid in crops of half its size, from scratch: fits a CPU.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/dpc_mbv2.py',
    '../_base_/datasets/camvid_180x240.py',
    '../_base_/schedules/sgd_600_scratch.py',
]
model = dict(
    data_preprocessor=dict(size=(180, 240)),
    # From scratch.
    backbone=dict(init_cfg=None),
    decode_head=dict(num_classes=11),
)
