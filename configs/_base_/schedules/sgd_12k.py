# 12,000 iterations from a pretrained encoder: the learning rates of sgd_50e.py on a smaller data
# set.
_base_ = './by_iteration.py'
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.005, momentum=0.9, weight_decay=4e-5),
    paramwise_cfg=dict(custom_keys={'decode_head': dict(lr_mult=10.0)}),
)
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=12000, by_epoch=False)]
train_cfg = dict(max_iters=12000, val_interval=1000)
val_cfg = dict(type='ValLoop')
default_hooks = dict(checkpoint=dict(interval=1000))
