# Training and validation images of VOC 2012 and SBD together: 1,464 + 1,449 + 9,118 images. Nothing
# is left to validate on, so what validation shows is no measure of anything.
_base_ = './voc12_aug.py'
dataset_val = dict(
    type='PascalVOCDataset',
    data_root='data/VOCdevkit/VOC2012',
    data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
    ann_file='ImageSets/Segmentation/val.txt',
    pipeline={{_base_.train_pipeline}},
)
train_dataloader = dict(
    dataset=dict(datasets=[{{_base_.dataset_train}}, dataset_val, {{_base_.dataset_aug}}])
)
