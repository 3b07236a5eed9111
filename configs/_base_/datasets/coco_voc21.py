# COCO 2017 with the 21 classes of PASCAL VOC, validated on VOC 2012 (docs/data.md; label maps from
# tools/dataset_converters/coco_voc.py).
_base_ = './voc12_aug.py'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    # The longer side of a COCO image is 640 pixels: this is 0.5 to 2.0 times the original.
    dict(type='RandomResize', scale=(640, 640), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(513, 513)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='PascalVOCDataset',
        data_root='data/coco',
        data_prefix=dict(img_path='train2017', seg_map_path='voc21/train2017'),
        ann_file='voc21/train2017.txt',
        pipeline=train_pipeline,
    )
)
