# Baseline: the search with an L1 penalty in place of the sparse loss (SparseMask, Table 1).
_base_ = './fdn_efficientnet-lite0_camvid-160x208.py'
model = dict(decode_head=dict(loss_connectivity=dict(type='L1ConnectivityLoss')))
