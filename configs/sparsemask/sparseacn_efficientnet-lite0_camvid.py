# Baseline: SparseACN, inputs 1, 2, 4, 8, ... places back (SparseMask, Table 1).
_base_ = './sparsemask_efficientnet-lite0_camvid.py'
model = dict(decode_head=dict(connectivity='sparse_acn'))
