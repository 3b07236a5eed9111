# The found decoder, MobileNet-V2, outlines of the embedded data set: minutes on a CPU.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/sparsemask_mbv2.py',
    '../_base_/datasets/shapes_edge.py',
    '../_base_/schedules/sgd_600_scratch.py',
]
model = dict(
    data_preprocessor=dict(size=(64, 64)),
    decode_head=dict(
        num_classes=2,
        out_channels=1,
        threshold=0.5,
        loss_decode=dict(_delete_=True, type='BalancedBCELoss'),
    ),
)
tta_model = dict(type='BinaryTTAModel')
