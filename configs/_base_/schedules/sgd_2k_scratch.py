# 2,000 iterations from scratch, one learning rate for all: tens of minutes on a CPU.
_base_ = './sgd_600_scratch.py'
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=2000, by_epoch=False)]
train_cfg = dict(max_iters=2000, val_interval=1000)
default_hooks = dict(
    logger=dict(interval=50),
    checkpoint=dict(interval=500),
)
