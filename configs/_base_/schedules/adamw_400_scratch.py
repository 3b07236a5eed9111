# 400 iterations from scratch: minutes on a CPU. AdamW learns the drawn shapes in a fraction of the
# iterations that SGD needs.
_base_ = './by_iteration.py'
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=0.003, betas=(0.9, 0.99), weight_decay=0.01),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=30, by_epoch=False),
    dict(type='PolyLR', eta_min=0.0, power=0.9, begin=30, end=400, by_epoch=False),
]
train_cfg = dict(max_iters=400, val_interval=400)
val_cfg = dict(type='ValLoop')
default_hooks = dict(logger=dict(interval=25), checkpoint=dict(interval=200, max_keep_ckpts=2))
randomness = dict(seed=0)
