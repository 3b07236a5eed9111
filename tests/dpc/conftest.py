import pytest
from mmengine.config import Config

TEXT = """
default_scope = 'mmseg'
custom_imports = dict(imports=['mmseg_sparsemask'])
norm_cfg = dict(type='BN')
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor', mean=[100.0] * 3, std=[60.0] * 3, bgr_to_rgb=True,
        pad_val=0, seg_pad_val=255, size=(32, 32)),
    backbone=dict(
        type='MobileNetV2', widen_factor=0.25, strides=(1, 2, 2, 1, 1, 1, 1),
        out_indices=(1, 2), norm_cfg=norm_cfg),
    decode_head=dict(
        type='DPCHead', in_channels=8, in_index=1, channels=8, num_classes=8, cell='aspp',
        norm_cfg=norm_cfg, loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    train_cfg=dict(), test_cfg=dict(mode='whole'))
pipeline = [
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
    dict(type='RandomFlip', prob=0.5), dict(type='PackSegInputs')]
train_dataloader = dict(
    batch_size=4, num_workers=0, sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(type='ShapesDataset', length=24, size=(32, 32), split='train', pipeline=pipeline))
val_dataloader = dict(
    batch_size=4, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ShapesDataset', length=8, size=(32, 32), split='val', pipeline=pipeline))
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
val_cfg = dict(type='ValLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.05, momentum=0.9))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=4, val_interval=2)
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=2),
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2))
log_processor = dict(by_epoch=False)
dpc_search = dict(
    space=dict(branches=2, rates=(1, 2), grids=(1,)),
    sampler=dict(type='local_search', startup=2),
    retrain='./tiny.py',
    proxy=dict(
        max_iters=6, val_interval=3, batch_size=4, filters=4, label_stride=2, train_images=10))
"""


@pytest.fixture
def tiny(tmp_path):
    """A search on the embedded data set that takes seconds; its caches lie in the test's folder."""
    path = tmp_path / 'tiny.py'
    path.write_text(TEXT)
    config = Config.fromfile(path)
    config.dpc_search.proxy.cache_dir = str(tmp_path / 'cache')
    return config
