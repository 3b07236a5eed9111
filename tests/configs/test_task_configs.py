"""Every configuration of the two tasks builds, learns from a batch and predicts one channel."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import METRICS, MODELS
from mmseg.structures import SegDataSample

import mmseg_sparsemask  # noqa: F401

ROOT = Path(__file__).parents[2] / 'configs'
CONFIGS = sorted([*(ROOT / 'edge').glob('*.py'), *(ROOT / 'saliency').glob('*.py')])
OTHERS = {path.stem for path in ROOT.rglob('*.py') if path not in CONFIGS}


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def test_count_and_names():
    assert len(CONFIGS) == 17
    names = [path.stem for path in CONFIGS]
    # Work directories are named after configs.
    assert len(set(names)) == len(names) and not set(names) & OTHERS


@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: p.stem)
def test_trains_and_predicts(path):
    cfg = Config.fromfile(path)
    encoder = cfg.model.backbone.backbone
    encoder.pop('init_cfg', None)
    size = (64, 96)
    cfg.model.data_preprocessor.size = size
    model = MODELS.build(cfg.model)
    metric = METRICS.build(cfg.test_evaluator)
    assert metric.prefix == path.parent.name
    build_optim_wrapper(model, cfg.optim_wrapper)

    torch.manual_seed(0)
    samples = []
    for _ in range(2):
        sample = SegDataSample(metainfo=dict(img_shape=(60, 90), ori_shape=(60, 90)))
        sample.gt_sem_seg = PixelData(data=torch.randint(0, 2, (1, 60, 90)))
        samples.append(sample)
    raw = dict(inputs=[torch.randint(0, 256, (3, 60, 90), dtype=torch.uint8)] * 2)
    data = model.data_preprocessor(dict(raw, data_samples=samples), training=True)
    losses = model(**data, mode='loss')
    total, logged = model.parse_losses(losses)
    assert torch.isfinite(total) and total > 0
    total.backward()
    unused = [name for name, p in model.decode_head.named_parameters() if p.grad is None]
    assert not unused

    model.eval()
    samples[0].set_metainfo(dict(pad_shape=(60, 90)))
    data = model.data_preprocessor(dict(inputs=raw['inputs'][:1], data_samples=samples[:1]))
    with torch.no_grad():
        (out,) = model(**data, mode='predict')
    prob = out.seg_logits.data
    assert prob.shape == (1, 60, 90) and 0 <= prob.min() and prob.max() <= 1


def test_decoders_of_the_paper():
    """The found decoder has one output less for each of 21 classes than its VOC form."""
    cfg = Config.fromfile(ROOT / 'saliency' / 'sparsemask_mbv2_msra_b.py')
    head = MODELS.build(cfg.model.decode_head)
    assert sum(p.numel() for p in head.parameters()) == 560_981 - 20 * 65
    vgg = Config.fromfile(ROOT / 'edge' / 'sparsemask_vgg16_bsds500.py').model.decode_head
    stages = MODELS.build(vgg).connectivity.stages
    assert {name: set(sources) for name, sources in stages.items()} == {
        'D5': {'E5', 'G'},
        'D4': {'E4', 'G'},
        'D1': {'E1', 'E4', 'E5', 'D4', 'D5', 'G'},
    }


def test_learning_rates_of_encoder_and_decoder():
    cfg = Config.fromfile(ROOT / 'edge' / 'hed_mbv2_bsds500.py')
    cfg.model.backbone.backbone.pop('init_cfg')
    model = MODELS.build(cfg.model)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    decoder = set(map(id, model.decode_head.parameters()))
    rates = {True: set(), False: set()}
    for group in wrapper.optimizer.param_groups:
        for p in group['params']:
            rates[id(p) in decoder].add(group['lr'])
    assert rates == {True: {1e-3}, False: {1e-4}}
