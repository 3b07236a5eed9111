# Control: a random decoder of a given size. Seed and parameters are those of the decoder; a table
# sets them: connectivity.seed, connectivity.parameters.
_base_ = './sparsemask_efficientnet-lite0_camvid.py'
model = dict(
    decode_head=dict(connectivity=dict(_delete_=True, source='random', seed=0, parameters=168779)),
)
