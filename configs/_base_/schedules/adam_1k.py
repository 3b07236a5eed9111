# adam_10k.py in a tenth of the iterations: from pretrained weights, on CPUs.
_base_ = './adam_10k.py'
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=1000, by_epoch=False)]
train_cfg = dict(max_iters=1000, val_interval=1000)
default_hooks = dict(
    checkpoint=dict(interval=100),
    memory_format=dict(type='ChannelsLastHook'),
)
