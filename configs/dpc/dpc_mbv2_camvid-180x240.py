# The published cell on MobileNet-V2, CamVid in crops of half its size, from scratch: fits a CPU.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/dpc_mbv2.py',
    '../_base_/datasets/camvid.py',
    '../_base_/schedules/sgd_600_scratch.py',
]
crop_size = (180, 240)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(240, 180), ratio_range=(0.75, 1.5), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
# Scored at the original size: the labels are not resized.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(240, 180), keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(num_workers=1, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline))
model = dict(
    data_preprocessor=dict(size=crop_size),
    # From scratch.
    backbone=dict(init_cfg=None),
    decode_head=dict(num_classes=11),
)
