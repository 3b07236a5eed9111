# Baseline: U-Net in the same space (SparseMask, Table 1).
_base_ = './sparsemask_mbv2_camvid-96x128.py'
model = dict(decode_head=dict(connectivity='unet'))
