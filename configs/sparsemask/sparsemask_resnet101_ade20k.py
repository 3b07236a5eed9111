# The paper's recipe for ADE20K, step 1 of 2: the training images.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/sparsemask_resnet101.py',
    '../_base_/datasets/ade20k.py',
    '../_base_/schedules/sgd_120e.py',
]
model = dict(data_preprocessor=dict(size=(513, 513)), decode_head=dict(num_classes=150))
optim_wrapper = dict(optimizer=dict(lr=0.01))
