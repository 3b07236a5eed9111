# Baseline: U-Net in the same space (SparseMask, Table 1).
_base_ = './sparsemask_efficientnet-lite0_camvid.py'
model = dict(decode_head=dict(connectivity='unet'))
