# Train a pruned decoder on VOC's images of animals, at a size for CPUs.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/sparsemask_mbv2.py',
    '../_base_/datasets/voc_animals_161.py',
    '../_base_/schedules/sgd_1500.py',
]
model = dict(
    data_preprocessor=dict(size=(161, 161)),
    decode_head=dict(num_classes=7),
)
randomness = dict(seed=0)
