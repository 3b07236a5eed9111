# Baseline: all connections of the Fully Dense Network, kept (SparseMask, Table 1: FDN).
_base_ = './sparsemask_efficientnet-lite0_camvid.py'
model = dict(decode_head=dict(connectivity='fdn'))
