# Training and validation images of VOC 2012 itself: 2,913 images. Nothing is left to validate on,
# so what validation shows is no measure of anything. Tested on the images of the evaluation server,
# for which there are no label maps: predictions are written instead.
_base_ = './voc12_aug.py'
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='PascalVOCDataset',
        data_root='data/VOCdevkit/VOC2012',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
        ann_file='ImageSets/Segmentation/trainval.txt',
        pipeline={{_base_.train_pipeline}},
    )
)
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='PascalVOCDataset',
        data_root='data/VOCdevkit/VOC2012',
        data_prefix=dict(img_path='JPEGImages'),
        ann_file='ImageSets/Segmentation/test.txt',
        test_mode=True,
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackSegInputs')],
    )
)
test_evaluator = dict(
    _delete_=True, type='VOCServerMetric', output_dir='work_dirs/voc_server', competition='comp6'
)
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='Resize', scale_factor=r, keep_ratio=True)
                for r in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
            ],
            [
                dict(type='RandomFlip', prob=0.0, direction='horizontal'),
                dict(type='RandomFlip', prob=1.0, direction='horizontal'),
            ],
            [dict(type='PackSegInputs')],
        ],
    ),
]
