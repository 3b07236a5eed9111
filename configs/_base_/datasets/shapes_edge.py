# Outlines of drawn shapes: no files, no download.
_base_ = ['./shapes.py', './boundaries.py']
dataset_type = 'ShapesEdgeDataset'
crop_size = (64, 64)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadInstanceBoundaries'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadInstanceBoundaries'),
    dict(type='PackSegInputs', meta_keys={{_base_.meta_keys}}),
]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='Resize', scale_factor=r, keep_ratio=True) for r in (0.75, 1.0, 1.25)],
            [dict(type='LoadInstanceBoundaries')],
            [dict(type='PackSegInputs', meta_keys={{_base_.meta_keys}})],
        ],
    ),
]
train_dataloader = dict(
    batch_size=16, dataset=dict(type=dataset_type, size=crop_size, pipeline=train_pipeline)
)
val_dataloader = dict(
    batch_size=16,
    dataset=dict(type=dataset_type, length=50, size=crop_size, pipeline=test_pipeline),
)
test_dataloader = dict(
    batch_size=16, dataset=dict(type=dataset_type, size=crop_size, pipeline=test_pipeline)
)
# The benchmark's 0.0075 of a diagonal of 90 pixels would be less than one pixel: 0.02 is 1.8. A
# faded frame of 5 pixels would cost a quarter of the image. The matching of so small images takes
# less than starting processes.
test_evaluator = dict(_delete_=True, type='EdgeMetric', max_dist=0.02, border=0, num_workers=0)
val_evaluator = dict(
    _delete_=True, type='EdgeMetric', max_dist=0.02, border=0, num_workers=0, thresholds=9
)
