# The paper's long recipe for VOC, step 3 of 3: VOC 2012 trainval, from the checkpoint of step 2.
# tools/test.py CONFIG CHECKPOINT --tta --out DIR writes what the evaluation server takes.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/sparsemask_resnet101.py',
    '../_base_/datasets/voc12_trainval.py',
    '../_base_/schedules/sgd_50e.py',
]
model = dict(data_preprocessor=dict(size=(513, 513)))
optim_wrapper = dict(optimizer=dict(lr=0.0001))
load_from = 'work_dirs/sparsemask_resnet101_sbd-trainval/epoch_50.pth'
