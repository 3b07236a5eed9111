"""The configs that are written: plain ones that build, with the settings of the plan."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS
from reference.drawn_folder import SMALL_ENCODER, draw_folder

from mmseg_sparsemask.connectivity import Connectivity, preset
from mmseg_sparsemask.fit.configs import SUPERNET, Plan, names_of, write_configs
from mmseg_sparsemask.fit.data import look
from mmseg_sparsemask.fit.encoders import find_encoder

PLAN = Plan((64, 64), (64, 64), 4, 30, 6, 0, 2, 1)


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    # A name that a config must not take for one of its own words.
    folder = tmp_path_factory.mktemp("it's {{ here }}")
    data = look(*draw_folder(folder), folder / 'out')
    (folder / 'small.py').write_text(SMALL_ENCODER)
    encoder = find_encoder(str(folder / 'small.py'), None, folder)
    configs = folder / 'configs'
    configs.mkdir()
    write_configs(configs, data, encoder, PLAN)
    return configs, data, encoder


def read(written, name):
    init_default_scope('mmseg')
    return Config.fromfile(written[0] / f'{name}.py')


def test_networks_have_the_graphs_of_their_names(written):
    assert names_of(written[0]) == ['unet', 'flat', 'lraspp', 'fcn']
    strides = written[2].strides
    for name in ('unet', 'flat'):
        head = MODELS.build(read(written, name).model).decode_head
        assert head.connectivity == preset(name, strides)
    supernet = MODELS.build(read(written, SUPERNET).model).decode_head
    assert isinstance(supernet.connectivity, Connectivity) and len(supernet.connectivity) == 30


@pytest.mark.parametrize('name', ['unet', 'flat', 'lraspp', 'fcn', SUPERNET])
def test_a_training_step_of_each(written, name):
    cfg = read(written, name)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    held = PLAN.held_back if name == SUPERNET else 0
    count = written[1].counts['train']
    assert len(dataset) == count - held
    # Neighbours may be frames of one video, or of one folder: they are from all over.
    seen = cfg.train_dataloader.dataset.get('indices', range(count))
    gaps = np.diff([-1, *sorted({*range(count)} - {*seen})])
    assert not held or (len(gaps) == held and np.ptp(gaps) <= 1)
    model = MODELS.build(cfg.model).train()
    items = [dataset[place] for place in range(2)]
    batch = {k: [item[k] for item in items] for k in ('inputs', 'data_samples')}
    batch = model.data_preprocessor(batch, training=True)
    assert batch['inputs'].shape == (2, 3, *PLAN.crop)
    losses = model.loss(**batch)
    assert torch.isfinite(losses['decode.loss_ce'])


def test_an_encoder_whose_images_were_padded_otherwise(written, tmp_path):
    """The toolbox takes a size or a divisor: with both, the first step would end."""
    configs, data, encoder = written
    padded = {**encoder.parts['data_preprocessor'], 'size_divisor': 32}
    encoder = replace(encoder, parts={**encoder.parts, 'data_preprocessor': padded})
    write_configs(tmp_path, data, encoder, PLAN)
    cfg = read((tmp_path,), 'unet')
    assert cfg.model.data_preprocessor == read(written, 'unet').model.data_preprocessor


def test_lengths_and_rates(written):
    unet, supernet = read(written, 'unet'), read(written, SUPERNET)
    assert unet.train_cfg.max_iters == 30 and supernet.train_cfg.max_iters == 15
    assert [step.end for step in unet.param_scheduler] == [3, 30]
    assert [step.end for step in supernet.param_scheduler] == [1, 15]
    assert unet.optim_wrapper.optimizer.type == 'AdamW'  # from scratch
    assert unet.default_hooks.memory_format.type == 'ChannelsLastHook'
    (hook,) = supernet.custom_hooks
    assert Config.fromfile(hook.retrain_config).model.decode_head.connectivity == 'unet'


@pytest.mark.parametrize('rule, optimiser', [('sgd', 'SGD'), ('layers', 'AdamW')])
def test_a_pretrained_encoder_learns_at_a_tenth(written, rule, optimiser, tmp_path):
    encoder = replace(written[2], rule=rule)
    write_configs(tmp_path, written[1], encoder, PLAN)
    wrapper = Config.fromfile(tmp_path / 'unet.py').optim_wrapper
    assert wrapper.optimizer.type == optimiser
    assert wrapper.paramwise_cfg.custom_keys.decode_head.lr_mult == 10.0


def test_without_three_strides_there_is_no_lraspp(written, tmp_path):
    encoder = replace(written[2], strides=[16, 32], in_channels=[8, 8])
    write_configs(tmp_path, written[1], encoder, PLAN)
    assert names_of(tmp_path) == ['unet', 'flat', 'fcn']
    # Nor is there that of another encoder, with which this was begun before.
    write_configs(tmp_path, written[1], written[2], PLAN)
    write_configs(tmp_path, written[1], encoder, PLAN)
    assert names_of(tmp_path) == ['unet', 'flat', 'fcn']


@pytest.mark.parametrize('rule', ['scratch', 'sgd'])
def test_what_began_from_scratch_goes_on_at_the_same_rate(written, tmp_path, rule):
    _, data, encoder = written
    write_configs(tmp_path, data, replace(encoder, rule=rule), PLAN)
    (hook,) = Config.fromfile(tmp_path / f'{SUPERNET}.py').custom_hooks
    assert hook.get('finetune_config') == (hook.retrain_config if rule == 'scratch' else None)
