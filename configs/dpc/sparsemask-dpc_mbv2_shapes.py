# The decoder that fdn-dpc_mbv2_shapes.py finds, behind the same dense prediction cell.
_base_ = '../sparsemask/sparsemask_mbv2_shapes.py'
channels = [32, 16, 24, 32, 64, 96, 160, 320]
model = dict(
    neck=dict(
        type='DPCNeck',
        in_channels=[*channels, 1280],
        channels=128,
        in_index=-1,
        cell='dpc_cityscapes',
        output_stride=32,
    ),
    decode_head=dict(in_channels=[*channels, 128]),
)
