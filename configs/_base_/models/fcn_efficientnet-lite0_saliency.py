# fcn_efficientnet-lite0.py with one output channel, for salient objects.
_base_ = './fcn_efficientnet-lite0.py'
model = dict(
    decode_head=dict(
        num_classes=2,
        out_channels=1,
        threshold=0.5,
        loss_decode=dict(_delete_=True, type='BinaryCrossEntropyLoss'),
    ),
)
