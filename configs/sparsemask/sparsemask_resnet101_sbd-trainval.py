# The paper's long recipe for VOC, step 2 of 3: SBD, from the checkpoint of step 1.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/sparsemask_resnet101.py',
    '../_base_/datasets/voc12_sbd_trainval.py',
    '../_base_/schedules/sgd_50e.py',
]
model = dict(data_preprocessor=dict(size=(513, 513)))
optim_wrapper = dict(optimizer=dict(lr=0.001))
load_from = 'work_dirs/sparsemask_resnet101_coco/epoch_30.pth'
