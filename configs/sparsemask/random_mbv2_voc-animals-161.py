# Control: a random decoder of a given size, which a table sets.
_base_ = './sparsemask_mbv2_voc-animals-161.py'
model = dict(
    decode_head=dict(connectivity=dict(_delete_=True, source='random', seed=0, parameters=168779)),
)
