"""Every configuration of the two tasks builds, learns from a batch and predicts one channel."""

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmseg.registry import METRICS, MODELS
from reference.configs import batch, load, load_as_it_is, names, one_of_each_model

CONFIGS = [*names('edge'), *names('saliency')]


@pytest.mark.parametrize('name', CONFIGS)
def test_is_scored_by_the_metric_of_its_task(name):
    cfg = load_as_it_is(name)
    assert METRICS.build(cfg.test_evaluator).prefix == name.split('/')[0]
    assert cfg.tta_model.type == 'BinaryTTAModel'


@pytest.mark.parametrize('name', one_of_each_model(CONFIGS))
def test_trains_and_predicts(name):
    cfg = load(name)
    cfg.model.data_preprocessor.size = (64, 96)
    model = MODELS.build(cfg.model)
    build_optim_wrapper(model, cfg.optim_wrapper)

    data = model.data_preprocessor(batch((60, 90), classes=2), training=True)
    losses = model(**data, mode='loss')
    total, logged = model.parse_losses(losses)
    assert torch.isfinite(total) and total > 0
    total.backward()
    unused = [name for name, p in model.decode_head.named_parameters() if p.grad is None]
    assert not unused

    model.eval()
    data = model.data_preprocessor(batch((60, 90), classes=2, count=1))
    with torch.no_grad():
        (out,) = model(**data, mode='predict')
    prob = out.seg_logits.data
    assert prob.shape == (1, 60, 90) and 0 <= prob.min() and prob.max() <= 1


def test_decoders_of_the_paper():
    """The found decoder has one output less for each of 21 classes than its VOC form."""
    cfg = load_as_it_is('saliency/sparsemask_mbv2_msra_b')
    head = MODELS.build(cfg.model.decode_head)
    assert sum(p.numel() for p in head.parameters()) == 560_981 - 20 * 65
    vgg = load_as_it_is('edge/sparsemask_vgg16_bsds500').model.decode_head
    stages = MODELS.build(vgg).connectivity.stages
    assert {name: set(sources) for name, sources in stages.items()} == {
        'D5': {'E5', 'G'},
        'D4': {'E4', 'G'},
        'D1': {'E1', 'E4', 'E5', 'D4', 'D5', 'G'},
    }


def test_learning_rates_of_encoder_and_decoder():
    cfg = load('edge/hed_mbv2_bsds500')
    model = MODELS.build(cfg.model)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    decoder = set(map(id, model.decode_head.parameters()))
    rates = {True: set(), False: set()}
    for group in wrapper.optimizer.param_groups:
        for p in group['params']:
            rates[id(p) in decoder].add(group['lr'])
    assert rates == {True: {1e-3}, False: {1e-4}}
