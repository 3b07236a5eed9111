# ASPP in the place of the published cell: the baseline.
_base_ = './dpc_mbv2_camvid-180x240.py'
model = dict(decode_head=dict(cell='aspp'))
