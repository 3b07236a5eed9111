"""The configs of dense prediction cells: they build, predict, and say what a search needs."""

from pathlib import Path

import pytest
import torch
from mmengine.model import revert_sync_batchnorm
from mmseg.registry import MODELS
from reference.configs import load, name_of, names, one_of_each_model

from mmseg_sparsemask.dpc.settings import ProxySettings, SearchSettings

CONFIGS = names('dpc')


def build(name):
    return revert_sync_batchnorm(MODELS.build(load(name).model))


@pytest.mark.parametrize('name', one_of_each_model(CONFIGS))
def test_predicts(name):
    model = build(name).eval()
    with torch.no_grad():
        logits = model(torch.zeros(1, 3, 65, 97))
    assert logits.shape[:2] == (1, model.num_classes)


@pytest.mark.parametrize('name', names('dpc', 'search_*'))
def test_search_settings(name):
    config = load(name)
    settings = SearchSettings.from_config(config)
    ProxySettings.from_config(config.dpc_search.proxy)
    target = load(name_of(Path(settings.retrain).resolve()))
    assert target.model.decode_head.type == 'DPCHead'
    assert target.model.decode_head.num_classes == config.model.decode_head.num_classes


def test_output_strides():
    for name, stride in (
        ('dpc/dpc_mbv2_voc', 16),
        ('dpc/dpc_resnet101_cityscapes', 16),
        ('dpc/dpc_mbv2_shapes', 8),
    ):
        model = build(name).eval()
        with torch.no_grad():
            feature = model.extract_feat(torch.zeros(1, 3, 128, 64))[-1]
        assert feature.shape[2:] == (128 // stride, 64 // stride)


@pytest.mark.parametrize('name', ['dpc/fdn-dpc_mbv2_shapes', 'dpc/sparsemask-dpc_mbv2_voc'])
def test_cell_before_a_searched_decoder(name):
    """The cell lies on the way from the coarsest feature to the loss, and learns."""
    model = build(name).train()
    features = model.extract_feat(torch.randn(2, 3, 64, 96))
    assert [f.shape[1] for f in features] == list(model.decode_head.in_channels)
    assert features[-1].shape[2:] == (2, 3)
    model.decode_head(features).square().mean().backward()
    weights = [p.grad.abs().sum() for p in model.neck.parameters()]
    assert all(torch.isfinite(w) for w in weights) and sum(weights) > 0
