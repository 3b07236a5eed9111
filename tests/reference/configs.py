"""The configs of this repository, each read once for all tests, and batches to feed them."""

import copy
import functools
import json
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

ROOT = Path(__file__).parents[2] / 'configs'
#: What a user can train; ``_base_`` holds parts of configs.
CONFIGS = sorted(p for p in ROOT.rglob('*.py') if '_base_' not in p.relative_to(ROOT).parts)
BASES = sorted((ROOT / '_base_').rglob('*.py'))


def name_of(path):
    """A config's path below ``configs/``, without the suffix."""
    return str(path.relative_to(ROOT).with_suffix(''))


def names(folder, pattern='*'):
    """Names of the configs in a folder."""
    return sorted(name_of(path) for path in (ROOT / folder).glob(f'{pattern}.py'))


def load(name):
    """A config by its name, with a model that fetches no weights."""
    cfg = copy.deepcopy(_read(name))
    cfg.model = without_downloads(cfg.model.to_dict())
    return cfg


def load_as_it_is(name):
    """A config by its name."""
    return copy.deepcopy(_read(name))


@functools.cache
def _read(name):
    return Config.fromfile(ROOT / f'{name}.py')


def without_downloads(node):
    """A config's model without what would fetch weights."""
    if isinstance(node, dict):
        return {
            key: without_downloads(value)
            for key, value in node.items()
            if not (key == 'init_cfg' and is_pretrained(value))
            and not (key == 'pretrained' and value)
        }
    if isinstance(node, (list, tuple)):
        return type(node)(map(without_downloads, node))
    return node


def is_pretrained(init_cfg):
    return isinstance(init_cfg, dict) and init_cfg.get('type') == 'Pretrained'


def one_of_each_model(given):
    """The first of several configs whose models differ in crop size and classes alone."""
    first = {}
    for name in given:
        model = load(name).model.to_dict()
        model.pop('data_preprocessor')
        model['decode_head'].pop('num_classes', None)
        first.setdefault(json.dumps(model, sort_keys=True), name)
    return list(first.values())


def batch(size, classes, count=2):
    """Noise and random labels of a size, as a data loader gives them."""
    generator = torch.Generator().manual_seed(0)
    samples = [
        SegDataSample(
            metainfo=dict(img_shape=size, ori_shape=size, pad_shape=size),
            gt_sem_seg=PixelData(data=torch.randint(classes, (1, *size), generator=generator)),
        )
        for _ in range(count)
    ]
    images = torch.randint(256, (count, 3, *size), generator=generator, dtype=torch.uint8)
    return dict(inputs=list(images), data_samples=samples)
