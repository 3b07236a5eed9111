# Baseline: all connections of the Fully Dense Network, kept (SparseMask, Table 1: FDN).
_base_ = './sparsemask_mbv2_voc.py'
model = dict(decode_head=dict(connectivity='fdn'))
