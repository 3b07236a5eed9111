# 30,000 iterations, polynomial decay: PASCAL data sets from a pretrained encoder.
_base_ = './by_iteration.py'
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.007, momentum=0.9, weight_decay=4e-5),
)
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=30000, by_epoch=False)]
train_cfg = dict(max_iters=30000, val_interval=3000)
val_cfg = dict(type='ValLoop')
default_hooks = dict(checkpoint=dict(interval=3000))
