# The found decoder, MobileNet-V2, salient objects of MSRA-B.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/mbv2_imagenet.py',
    '../_base_/models/sparsemask_mbv2.py',
    '../_base_/datasets/msra_b.py',
    '../_base_/schedules/adam_10k.py',
]
model = dict(
    data_preprocessor=dict(size=(320, 320)),
    backbone=dict(
        backbone=dict(
            init_cfg={{_base_.mbv2_imagenet}},
        ),
    ),
    decode_head=dict(
        num_classes=2,
        out_channels=1,
        threshold=0.5,
        loss_decode=dict(
            _delete_=True, type='CrossEntropyLoss', use_sigmoid=True, avg_non_ignore=True
        ),
    ),
)
tta_model = dict(type='BinaryTTAModel')
