# The found decoder, VGG16, salient objects of MSRA-B.
_base_ = [
    '../_base_/binary_runtime.py',
    '../_base_/models/sparsemask_vgg16_saliency.py',
    '../_base_/datasets/msra_b.py',
    '../_base_/schedules/adam_10k.py',
]
model = dict(data_preprocessor=dict(size=(320, 320)))
