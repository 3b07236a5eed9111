# Train a pruned decoder on VOC 2012 + SBD with the paper's protocol: as in its published code,
# encoder features are activated, and the decoder starts as it is drawn.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/sparsemask_mbv2.py',
    '../_base_/datasets/voc12_aug.py',
    '../_base_/schedules/sgd_50e.py',
]
model = dict(
    data_preprocessor=dict(size=(513, 513)),
    decode_head=dict(num_classes=21, act_encoder=True, balanced=False),
)
