# ASPP in the place of the published cell: the baseline.
_base_ = './dpc_mbv2_shapes.py'
model = dict(decode_head=dict(cell='aspp'))
