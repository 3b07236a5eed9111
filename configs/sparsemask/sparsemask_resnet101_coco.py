# The paper's long recipe for VOC, step 1 of 3: COCO with VOC's 21 classes.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/sparsemask_resnet101.py',
    '../_base_/datasets/coco_voc21.py',
    '../_base_/schedules/sgd_30e.py',
]
model = dict(data_preprocessor=dict(size=(513, 513)))
optim_wrapper = dict(optimizer=dict(lr=0.01))
