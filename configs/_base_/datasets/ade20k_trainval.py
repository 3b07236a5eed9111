# Training and validation images of ADE20K together: 22,210 images. What validation shows is no
# measure of anything then.
_base_ = './ade20k.py'
dataset_val = dict(
    type='ADE20KDataset',
    data_root='data/ade/ADEChallengeData2016',
    data_prefix=dict(img_path='images/validation', seg_map_path='annotations/validation'),
    pipeline={{_base_.train_pipeline}},
)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[{{_base_.train_dataloader.dataset}}, dataset_val],
    )
)
