from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from mmseg.utils import register_all_modules

import mmseg_sparsemask  # noqa: F401
from mmseg_sparsemask.dpc.settings import ProxySettings, SearchSettings

FOLDER = Path(__file__).parents[2] / 'configs' / 'dpc'
CONFIGS = sorted(p.stem for p in FOLDER.glob('*.py'))
DATA = ('cityscapes', 'person_part', 'voc', 'camvid', 'shapes')


def load(name):
    register_all_modules(init_default_scope=False)
    init_default_scope('mmseg')
    config = Config.fromfile(FOLDER / f'{name}.py')

    def local(part):
        """Without checkpoints from the net, and with norms that run on a CPU."""
        if isinstance(part, dict):
            part.pop('init_cfg', None)
            if part.get('type') == 'SyncBN':
                part['type'] = 'BN'
            for value in part.values():
                local(value)

    local(config.model)
    return config


def test_every_data_set_has_both_cells_and_a_search():
    for data in DATA:
        for kind in ('dpc', 'aspp', 'search'):
            assert f'{kind}_mbv2_{data}' in CONFIGS


@pytest.mark.parametrize('name', CONFIGS)
def test_config_builds_and_runs(name):
    config = load(name)
    model = MODELS.build(config.model).eval()
    classes = config.model.decode_head.num_classes
    with torch.no_grad():
        logits = model(torch.zeros(1, 3, 65, 97))
    assert logits.shape[:2] == (1, classes)


@pytest.mark.parametrize('name', [c for c in CONFIGS if c.startswith('search_')])
def test_search_settings(name):
    config = load(name)
    settings = SearchSettings.from_config(config)
    ProxySettings.from_config(config.dpc_search.proxy)
    target = Config.fromfile(settings.retrain)
    assert target.model.decode_head.type == 'DPCHead'
    assert target.model.decode_head.num_classes == config.model.decode_head.num_classes


def test_output_strides():
    for name, stride in (
        ('dpc_mbv2_voc', 16),
        ('dpc_resnet101_cityscapes', 16),
        ('dpc_mbv2_shapes', 8),
    ):
        model = MODELS.build(load(name).model).eval()
        with torch.no_grad():
            feature = model.extract_feat(torch.zeros(1, 3, 128, 64))[-1]
        assert feature.shape[2:] == (128 // stride, 64 // stride)


@pytest.mark.parametrize('name', ['fdn-dpc_mbv2_shapes', 'sparsemask-dpc_mbv2_voc'])
def test_cell_before_a_searched_decoder(name):
    """The cell lies on the way from the coarsest feature to the loss, and learns."""
    config = load(name)
    model = MODELS.build(config.model).train()
    features = model.extract_feat(torch.randn(2, 3, 64, 96))
    assert [f.shape[1] for f in features] == list(config.model.decode_head.in_channels)
    assert features[-1].shape[2:] == (2, 3)
    model.decode_head(features).square().mean().backward()
    weights = [p.grad.abs().sum() for p in model.neck.parameters()]
    assert all(torch.isfinite(w) for w in weights) and sum(weights) > 0
