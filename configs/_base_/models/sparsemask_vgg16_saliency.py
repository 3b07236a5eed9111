# sparsemask_vgg16.py with one output channel, for salient objects.
_base_ = './sparsemask_vgg16.py'
model = dict(
    decode_head=dict(
        channels=64,
        norm_cfg=dict(type='BN'),
        act_cfg=dict(type='ReLU6'),
        align_corners=True,
        num_classes=2,
        out_channels=1,
        threshold=0.5,
        loss_decode=dict(_delete_=True, type='BinaryCrossEntropyLoss'),
    ),
)
