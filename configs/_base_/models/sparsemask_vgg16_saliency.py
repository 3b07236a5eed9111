# sparsemask_vgg16_edge.py with the loss for salient objects.
_base_ = './sparsemask_vgg16_edge.py'
model = dict(decode_head=dict(loss_decode=dict(type='BinaryCrossEntropyLoss')))
