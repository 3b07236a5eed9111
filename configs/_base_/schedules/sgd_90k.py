# 90,000 iterations, polynomial decay: the schedule of dense prediction cells on Cityscapes.
_base_ = './by_iteration.py'
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=4e-5),
)
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=90000, by_epoch=False)]
train_cfg = dict(max_iters=90000, val_interval=9000)
val_cfg = dict(type='ValLoop')
default_hooks = dict(checkpoint=dict(interval=9000))
