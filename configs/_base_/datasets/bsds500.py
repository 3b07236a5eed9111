# BSDS500 for boundary detection: 300 images to train (train and val), 200 to test, HED's
# augmentation (docs/saliency_and_edges.md).
_base_ = ['./images_and_labels.py', './boundaries.py']
dataset_type = 'BSDS500Dataset'
data_root = 'data/BSDS500'
crop_size = (320, 320)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadBSDSBoundaries', minority='ignore'),
    dict(type='HEDAugment', rotations=16, scales=(0.5, 1.0, 1.5), flip_prob=0.5),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadBSDSBoundaries'),
    dict(type='PackSegInputs', meta_keys={{_base_.meta_keys}}),
]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='Resize', scale_factor=r, keep_ratio=True) for r in (0.5, 1.0, 1.5)],
            [dict(type='LoadBSDSBoundaries')],
            [dict(type='PackSegInputs', meta_keys={{_base_.meta_keys}})],
        ],
    ),
]
train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        split=['train', 'val'],
        pipeline=train_pipeline,
    ),
)
test_dataloader = dict(
    dataset=dict(type=dataset_type, data_root=data_root, split='test', pipeline=test_pipeline),
)
test_evaluator = dict(_delete_=True, type='EdgeMetric')
# The field trains on the validation images and has none left to watch.
val_dataloader = None
val_cfg = None
val_evaluator = None
