# The images of PASCAL VOC 2012 that hold a cat, cow, dog, horse or sheep, their longer side 320
# (docs/data.md), in crops that a CPU can train on; the fourteen other objects are void. Crops have
# 32k + 1 pixels a side, for which padding as in TensorFlow and as in PyTorch is the same.
_base_ = './images_and_labels.py'
dataset_type = 'PascalVOCDataset'
data_root = 'data/voc-animals/VOCdevkit/VOC2012'
data_prefix = dict(img_path='JPEGImages', seg_map_path='SegmentationClass')
metainfo = dict(
    classes=('background', 'cat', 'cow', 'dog', 'horse', 'sheep', 'person'),
    palette=[
        [0, 0, 0],
        [64, 0, 0],
        [64, 128, 0],
        [64, 0, 128],
        [192, 0, 128],
        [128, 64, 0],
        [192, 128, 128],
    ],
)
crop_size = (161, 161)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(225, 225), ratio_range=(0.6, 1.4), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
# The labels are loaded after resizing and keep their size.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(225, 225), keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=12,
    num_workers=1,
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=data_prefix,
        metainfo=metainfo,
        ann_file='ImageSets/Segmentation/trainaug.txt',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=data_prefix,
        metainfo=metainfo,
        ann_file='ImageSets/Segmentation/val.txt',
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
