# Baseline: FCN on VOC's images of animals, at a size for CPUs.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/fcn_mbv2.py',
    '../_base_/datasets/voc_animals_161.py',
    '../_base_/schedules/sgd_700.py',
]
model = dict(
    data_preprocessor=dict(size=(161, 161)),
    # Small batches: the encoder's statistics stay those of ImageNet.
    backbone=dict(backbone=dict(norm_eval=True)),
    decode_head=dict(num_classes=7),
)
# As in the paper.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'decode_head': dict(lr_mult=10.0)}))
randomness = dict(seed=0)
