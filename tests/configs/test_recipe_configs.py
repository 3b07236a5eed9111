"""The long recipes: schedules, data on a small stand-in, and how the steps follow each other."""

from pathlib import Path

import numpy as np
import pytest
from mmseg.registry import DATASETS, METRICS, MODELS
from PIL import Image
from reference.configs import load, load_as_it_is

# Epochs, learning rate, what it starts from, images of the stand-in, classes.
RECIPES = {
    'resnet101_coco': (30, 0.01, None, 2, 21),
    'resnet101_sbd-trainval': (50, 0.001, 'resnet101_coco/epoch_30.pth', 4, 21),
    'resnet101_voc-trainval': (50, 0.0001, 'resnet101_sbd-trainval/epoch_50.pth', 2, 21),
    'resnet101_ade20k': (120, 0.01, None, 1, 150),
    'resnet101_ade20k-trainval': (20, 0.001, 'resnet101_ade20k/epoch_120.pth', 2, 150),
}


def image(path, mode, value=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (30, 40, 3) if mode == 'RGB' else (30, 40)
    Image.fromarray(np.full(shape, value, np.uint8), mode).save(path)


def listed(path, names):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(''.join(f'{name}\n' for name in names))


def stand_in(root):
    """Two images of COCO; of VOC one to train, one to validate, two of SBD; of ADE one each."""
    for name in ('c1', 'c2'):
        image(root / 'data/coco/train2017' / f'{name}.jpg', 'RGB')
        image(root / 'data/coco/voc21/train2017' / f'{name}.png', 'L')
    listed(root / 'data/coco/voc21/train2017.txt', ('c1', 'c2'))
    voc = root / 'data/VOCdevkit/VOC2012'
    for name in ('t', 'v', 'a1', 'a2', 'x'):
        image(voc / 'JPEGImages' / f'{name}.jpg', 'RGB')
    for name, folder in (('t', ''), ('v', ''), ('a1', 'Aug'), ('a2', 'Aug')):
        image(voc / f'SegmentationClass{folder}' / f'{name}.png', 'L')
    sets = dict(train='t', val='v', trainval=('t', 'v'), aug=('a1', 'a2'), test='x')
    for name, content in sets.items():
        listed(voc / 'ImageSets/Segmentation' / f'{name}.txt', content)
    ade = root / 'data/ade/ADEChallengeData2016'
    for split in ('training', 'validation'):
        image(ade / 'images' / split / 'i.jpg', 'RGB')
        image(ade / 'annotations' / split / 'i.png', 'L', 150)


@pytest.mark.parametrize('name', RECIPES)
def test_recipe(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stand_in(tmp_path)
    epochs, rate, start, length, classes = RECIPES[name]
    cfg = load_as_it_is(f'sparsemask/sparsemask_{name}')
    assert cfg.train_cfg.max_epochs == cfg.param_scheduler[0].end == epochs
    assert cfg.optim_wrapper.optimizer.lr == rate
    assert cfg.optim_wrapper.paramwise_cfg.custom_keys.decode_head.lr_mult == 10
    assert cfg.get('load_from') == (start and f'work_dirs/sparsemask_{start}')
    if start:
        # The step before it keeps its last checkpoint under that name.
        before = load_as_it_is(f'sparsemask/{Path(cfg.load_from).parent.name}')
        assert before.train_cfg.max_epochs == int(Path(cfg.load_from).stem.split('_')[1])
        assert before.model.decode_head == cfg.model.decode_head

    train = DATASETS.build(cfg.train_dataloader.dataset)
    assert len(train) == length and len(train.metainfo['classes']) == classes
    for item in train:
        assert item['inputs'].shape[1:] == item['data_samples'].gt_sem_seg.shape
        label = item['data_samples'].gt_sem_seg.data.unique().tolist()
        assert set(label) <= ({149, 255} if classes == 150 else {1, 255})
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        assert len(DATASETS.build(loader.dataset)) == 1
    METRICS.build(cfg.val_evaluator)
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    assert len(DATASETS.build(cfg.test_dataloader.dataset)[0]['inputs']) == 12
    head = MODELS.build(cfg.model.decode_head)
    parameters = sum(parameter.numel() for parameter in head.parameters())
    assert parameters == 6_862_357 + (classes - 21) * 513


def test_ade_is_validated_by_its_own_score():
    cfg = load_as_it_is('sparsemask/sparsemask_resnet101_ade20k')
    assert cfg.val_evaluator.type == cfg.test_evaluator.type == 'SceneParsingMetric'


def test_servers_images_need_no_label_maps(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stand_in(tmp_path)
    cfg = load_as_it_is('sparsemask/sparsemask_resnet101_voc-trainval')
    data = DATASETS.build(cfg.test_dataloader.dataset)
    item = data[0]
    assert Path(item['data_samples'].img_path).stem == 'x'
    assert 'gt_sem_seg' not in item['data_samples']
    assert cfg.test_evaluator == dict(
        type='VOCServerMetric', output_dir='work_dirs/voc_server', competition='comp6'
    )


@pytest.mark.parametrize('name', ['fdn_mbv2', 'sparsemask_mbv2', 'sparsemask_resnet101'])
def test_cityscapes(name):
    cfg = load(f'sparsemask/{name}_cityscapes')
    model = MODELS.build(cfg.model)
    assert model.num_classes == 19 and cfg.model.data_preprocessor.size == cfg.crop_size
    assert cfg.optim_wrapper.optimizer.lr == 0.005
    assert cfg.optim_wrapper.paramwise_cfg.custom_keys.decode_head.lr_mult == 10
