# BSDS500 in crops of 160x160 that a CPU can train on; tested on whole images.
_base_ = './bsds500.py'
crop_size = (160, 160)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadBSDSBoundaries', minority='ignore'),
    dict(type='HEDAugment', rotations=16, scales=(0.5, 1.0, 1.5), flip_prob=0.5),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=train_pipeline))
