# Baseline: the search with an L1 penalty in place of the sparse loss (SparseMask, Table 1).
_base_ = './fdn_efficientnet-lite0_camvid.py'
model = dict(decode_head=dict(loss_connectivity=dict(type='L1ConnectivityLoss')))
