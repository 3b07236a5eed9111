# 1,500 iterations on a part of VOC, from ImageNet weights. The decoder learns at ten times the
# encoder's rate, as in the paper. With the encoder's statistics kept and twice this rate, FCN
# learned nothing but background: so no config of this schedule has norm_eval.
_base_ = './sgd_700.py'
optim_wrapper = dict(
    optimizer=dict(lr=0.005), paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=10.0)))
)
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=1500, by_epoch=False)]
train_cfg = dict(max_iters=1500, val_interval=1500)
