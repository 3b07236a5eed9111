# A supernet that is made to be cut: each pass trains a part, and tools/front.py picks from it.
_base_ = './fdn_mbv2_shapes.py'
model = dict(
    decode_head=dict(
        connections=dict(_delete_=True, type='SampledConnections'), loss_connectivity=None
    )
)
# The last 64 images are held back: tools/front.py scores decoders on them.
train_dataloader = dict(dataset=dict(indices=1936))
optim_wrapper = dict(constructor='DefaultOptimWrapperConstructor', paramwise_cfg=None)
