# Baseline: all connections of the Fully Dense Network, kept (SparseMask, Table 1: FDN).
_base_ = './sparsemask_mbv2_camvid-96x128.py'
model = dict(decode_head=dict(connectivity='fdn'))
