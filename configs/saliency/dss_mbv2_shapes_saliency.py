# Baseline: DSS on MobileNet-V2, salient objects of the embedded data set: minutes on a CPU.
_base_ = [
    '../_base_/binary_runtime.py',
    '../_base_/models/dss_mbv2.py',
    '../_base_/datasets/shapes_saliency.py',
    '../_base_/schedules/sgd_600_scratch.py',
]
model = dict(
    data_preprocessor=dict(size=(64, 64)),
    # From scratch.
    backbone=dict(backbone=dict(_delete_=True, type='mmpretrain.MobileNetV2')),
)
# Seven losses add up: at the schedule's rate of 0.05 the training diverges.
optim_wrapper = dict(optimizer=dict(lr=0.01))
