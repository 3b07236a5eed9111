# The paper's recipe for ADE20K, step 2 of 2: training and validation images, from the checkpoint of
# step 1.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/sparsemask_resnet101.py',
    '../_base_/datasets/ade20k_trainval.py',
    '../_base_/schedules/sgd_20e.py',
]
model = dict(data_preprocessor=dict(size=(513, 513)), decode_head=dict(num_classes=150))
optim_wrapper = dict(optimizer=dict(lr=0.001))
load_from = 'work_dirs/sparsemask_resnet101_ade20k/epoch_120.pth'
