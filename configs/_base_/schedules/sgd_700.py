# 700 iterations from pretrained weights: minutes on a CPU. tools/run_table.py sets other lengths.
# The decoder learns at thirty times the encoder's rate (the paper: ten times), which is best by the
# mean rank of six methods on CamVid (docs/leaderboard.md, camvid-recipe_efficientnet-lite0).
_base_ = './by_iteration.py'
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=4e-5),
    paramwise_cfg=dict(custom_keys={'decode_head': dict(lr_mult=30.0)}),
)
param_scheduler = [dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=700, by_epoch=False)]
train_cfg = dict(max_iters=700, val_interval=700)
val_cfg = dict(type='ValLoop')
default_hooks = dict(
    checkpoint=dict(interval=100, max_keep_ckpts=1),
    memory_format=dict(type='ChannelsLastHook'),
)
