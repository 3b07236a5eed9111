# ASPP in the place of the published cell: the baseline.
_base_ = './dpc_resnet101_cityscapes.py'
model = dict(decode_head=dict(cell='aspp'))
