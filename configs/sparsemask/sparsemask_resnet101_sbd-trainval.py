# The paper's long recipe for VOC, step 2 of 3: SBD, from the checkpoint of step 1.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/resnet101_features.py',
    '../_base_/datasets/voc12_sbd_trainval.py',
    '../_base_/schedules/sgd_50e.py',
]
model = dict(
    data_preprocessor=dict(size=(513, 513)),
    decode_head=dict(
        type='SparseMaskHead',
        connectivity=dict(source='sparsemask_mbv2_voc', strides=[2, 4, 8, 16, 32]),
        in_channels=[64, 256, 512, 1024, 2048],
        in_index=[0, 1, 2, 3, 4],
        strides=[2, 4, 8, 16, 32],
        channels=512,
        num_classes=21,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    ),
)
optim_wrapper = dict(optimizer=dict(lr=0.001))
load_from = 'work_dirs/sparsemask_resnet101_coco/epoch_30.pth'
