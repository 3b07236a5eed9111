# SOD's 300 masks on BSDS500's images, 200 to train, 100 to test, as tools/dataset_converters/sod.py
# joins them.
_base_ = './msra_b.py'
data_root = 'data/SOD300'
train_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
# Too few images to hold some back.
val_dataloader = None
val_cfg = None
val_evaluator = None
