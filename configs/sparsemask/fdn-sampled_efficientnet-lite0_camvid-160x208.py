# A supernet that is made to be cut, on CamVid at a size for CPUs: each pass trains a part, and
# tools/front.py picks from it.
_base_ = './sparsemask_efficientnet-lite0_camvid-160x208.py'
model = dict(
    decode_head=dict(
        type='FDNHead', connectivity='fdn', connections=dict(type='SampledConnections')
    )
)
# Of 367 images 66 are held back, from all sequences: tools/front.py scores decoders on them.
train_dataloader = dict(
    dataset=dict(indices=[place for place in range(367) if place % 11 not in (4, 9)])
)
custom_hooks = [
    dict(
        type='PruneHook',
        retrain_config='{{ fileDirname }}/sparsemask_efficientnet-lite0_camvid-160x208.py',
    )
]
