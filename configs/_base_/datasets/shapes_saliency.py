# Drawn shapes against their background: no files, no download.
_base_ = './shapes.py'
dataset_type = 'ShapesSaliencyDataset'
crop_size = (64, 64)
loader = dict(batch_size=16, dataset=dict(type=dataset_type, size=crop_size))
train_dataloader = loader
val_dataloader = loader
test_dataloader = dict(batch_size=16, dataset=dict(type=dataset_type, length=400, size=crop_size))
val_evaluator = dict(_delete_=True, type='SaliencyMetric')
test_evaluator = dict(_delete_=True, type='SaliencyMetric')
