"""The data sets of ``configs/_base_`` on stand-in files, and the baselines built on them."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmseg.registry import DATASETS, MODELS
from PIL import Image
from reference.configs import ROOT, batch, load


def base(name):
    return Config.fromfile(ROOT / f'_base_/datasets/{name}.py')


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def voc_stand_in(root):
    names = dict(train=['a'], aug=['b', 'c'], val=['d'])
    for split, members in names.items():
        path = root / f'ImageSets/Segmentation/{split}.txt'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('\n'.join(members))
        folder = 'SegmentationClassAug' if split == 'aug' else 'SegmentationClass'
        for name in members:
            write(root / f'JPEGImages/{name}.jpg', np.full((333, 500, 3), 99, np.uint8))
            write(root / f'{folder}/{name}.png', np.full((333, 500), 20, np.uint8))


def camvid_stand_in(root):
    for split in ('train', 'val', 'test'):
        write(root / f'images/{split}/a.jpg', np.full((360, 480, 3), 99, np.uint8))
        write(root / f'annotations/{split}/a.png', np.full((360, 480), 10, np.uint8))


def set_root(dataset, root):
    for inner in dataset.get('datasets', [dataset]):
        inner.data_root = str(root)


@pytest.mark.parametrize(
    ('name', 'stand_in', 'length', 'size'),
    [
        ('voc12_aug', voc_stand_in, 3, (333, 500)),
        ('camvid', camvid_stand_in, 1, (360, 480)),
        ('shapes', None, 2000, (96, 96)),
    ],
)
def test_pipelines(tmp_path, name, stand_in, length, size):
    cfg = base(name)
    if stand_in:
        stand_in(tmp_path)
        for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
            set_root(loader.dataset, tmp_path)
    train = DATASETS.build(cfg.train_dataloader.dataset)
    assert len(train) == length
    for _ in range(5):
        item = train[len(train) - 1]
        shape = item['inputs'].shape[1:]
        assert all(have <= crop for have, crop in zip(shape, cfg.crop_size))
        assert item['data_samples'].gt_sem_seg.shape == shape
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        item = DATASETS.build(loader.dataset)[0]
        assert item['inputs'].shape[1:] == size
    loader.dataset.pipeline = cfg.tta_pipeline
    item = DATASETS.build(loader.dataset)[0]
    assert len(item['inputs']) == (6 if name == 'shapes' else 12)


def test_splits_of_shapes_share_no_image():
    cfg = base('shapes')
    loaders = (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader)
    seen = [DATASETS.build(dict(loader.dataset, length=20)) for loader in loaders]
    images = {data[n]['inputs'].numpy().tobytes() for data in seen[1:] for n in range(20)}
    assert len(images) == 40
    assert len({data.get_data_info(0)['img_path'] for data in seen}) == 3


def build(name, **backbone):
    cfg = load(f'sparsemask/{name}')
    cfg.model.backbone.backbone.update(backbone)
    return cfg, MODELS.build(cfg.model)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_baseline_has_the_papers_size_and_learning_rates():
    cfg, model = build('fcn_mbv2_voc')
    assert count(model.backbone) == 2_223_872
    assert count(model.decode_head) == 26_901
    optim = build_optim_wrapper(model, cfg.optim_wrapper)
    rates = {'encoder': set(), 'decoder': set()}
    decoder = set(map(id, model.decode_head.parameters()))
    for group in optim.optimizer.param_groups:
        for parameter in group['params']:
            rates['decoder' if id(parameter) in decoder else 'encoder'].add(group['lr'])
        assert (group['momentum'], group['weight_decay']) == (0.9, 4e-5)
    assert rates == {'encoder': {0.005}, 'decoder': {0.05}}
    assert cfg.train_dataloader.batch_size == 16
    # 662 iterations in each of 50 epochs.
    assert cfg.train_cfg.max_epochs == 50
    assert cfg.param_scheduler[0].convert_to_iter_based


@pytest.mark.parametrize('name', ['fcn_mbv2_voc', 'fcn_mbv2_camvid', 'fcn_mbv2_shapes'])
def test_baselines_make_a_training_step(name):
    cfg, model = build(name, widen_factor=0.25)
    assert cfg.model.data_preprocessor.size == cfg.crop_size
    small = (63, 65)
    cfg.model.data_preprocessor.size = small
    model = MODELS.build(cfg.model)
    data = model.data_preprocessor(batch((30, 40), classes=1), training=True)
    assert data['inputs'].shape[-2:] == small
    assert set(data['data_samples'][0].gt_sem_seg.data.unique().tolist()) <= {0, 255}
    losses = model(**data, mode='loss')
    assert torch.isfinite(losses['decode.loss_ce'])
