# Both in one: the coarsest feature passes through a dense prediction cell before the supernet
# searches the decoder, on the embedded shapes.
_base_ = '../sparsemask/fdn_mbv2_shapes.py'
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
custom_hooks = [
    dict(
        type='PruneHook',
        interval=25,
        image_interval=100,
        retrain_config='{{ fileDirname }}/sparsemask-dpc_mbv2_shapes.py',
    )
]
