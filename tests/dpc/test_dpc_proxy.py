import logging
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.registry import MODELS

from mmseg_sparsemask.dpc.cell import Cell
from mmseg_sparsemask.dpc.head import DPCHead
from mmseg_sparsemask.dpc.presets import PRESETS
from mmseg_sparsemask.dpc.proxy import measure_latency, prepare_task, proxy_config, train_cell
from mmseg_sparsemask.dpc.settings import ProxySettings, SearchSettings

CELL = Cell.from_string('-1:sep3x3_1x1 0:conv1x1')


@pytest.fixture
def task(tiny):
    return prepare_task(tiny)


def test_a_cell_is_trained_and_scored(task, tmp_path):
    result = train_cell(task, CELL, tmp_path / 'run')
    assert [iteration for iteration, _ in result.curve] == [3, 6]
    assert result.miou == max(score for _, score in result.curve)
    assert 0 <= result.miou <= 100 and result.seconds > 0
    assert train_cell(task, CELL, tmp_path / 'run').curve == result.curve  # the seed is fixed


def test_early_stopping(tiny, tmp_path):
    tiny.dpc_search.proxy.update(
        max_iters=50,
        val_interval=1,
        patience=2,
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.0)),
    )
    result = train_cell(prepare_task(tiny), CELL, tmp_path / 'run')
    # Nothing is learnt but the statistics of the normalisation, so it soon stands still.
    assert result.curve[-1][0] < 50
    last = [score for _, score in result.curve[-3:]]
    assert max(last[1:]) <= max(score for _, score in result.curve[:-2])


def test_score_is_the_toolboxs_metric_on_the_held_out_cache(task, tmp_path):
    """The mIoU of a run, computed once more by hand from the predictions of its model."""
    config = Config(proxy_config(task, CELL, str(tmp_path), 'by_hand'))
    runner = Runner.from_cfg(config)
    runner.train()
    model = runner.model.eval()
    overlap, union = torch.zeros(8), torch.zeros(8)
    for item in runner.val_dataloader.dataset:
        with torch.no_grad():
            logits = model.decode_head((item['inputs'][None],))
            label = item['data_samples'].gt_sem_seg.data[0]
            logits = torch.nn.functional.interpolate(
                logits, label.shape, mode='bilinear', align_corners=True
            )
        predicted = logits[0].argmax(0)
        valid = label != 255
        for k in range(8):
            a, b = (predicted == k) & valid, label == k
            overlap[k] += (a & b).sum()
            union[k] += (a | b).sum()
    miou = 100 * (overlap / union).nanmean().item()
    assert runner.val()['mIoU'] == pytest.approx(miou, abs=0.006)


def test_latency_and_narrow_filters(task):
    assert measure_latency(task, CELL, repeats=3) > 0
    head = task.head(PRESETS['aspp']())
    assert head['filters'] == head['channels'] == 4 and head['in_index'] == 0
    assert task.model['decode_head']['cell'] == 'aspp'


def test_latency_is_that_of_the_configs_own_head(task, monkeypatch):
    """As the other costs are: a bound in milliseconds is one of what will be trained."""
    built = []

    def build(config):
        built.append(config)
        return MODELS.build(config)

    monkeypatch.setattr('mmseg_sparsemask.dpc.proxy.MODELS', SimpleNamespace(build=build))
    measure_latency(task, CELL, repeats=1)
    assert built[0]['channels'] == 8 and 'filters' not in built[0]


def test_latency_does_not_depend_on_the_number_of_workers(task, monkeypatch):
    """Each of them has its share of the threads."""
    monkeypatch.setattr(
        'mmseg_sparsemask.dpc.proxy.repeated', lambda *args, **kwargs: [torch.get_num_threads()]
    )
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert measure_latency(task, CELL) == 1e3
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_held_out_images_without_labels(task, tmp_path):
    labels = np.load(Path(task.val) / 'labels.npy', mmap_mode='r+')
    labels[:] = 255
    labels.flush()
    with pytest.raises(ValueError, match='mIoU of the held-out images is nan'):
        train_cell(task, CELL, tmp_path / 'run')


class Object:
    """Something that is no plain data."""


def test_pretraining_starts_from_data_alone(tiny, tmp_path):
    torch.save({'state_dict': {}, 'notes': Object()}, tmp_path / 'theirs.pth')
    tiny.load_from = str(tmp_path / 'theirs.pth')
    tiny.dpc_search.proxy.pretrain_iters = 1
    with pytest.raises(ValueError, match='trust_checkpoint=True'):
        prepare_task(tiny)


def test_pretraining_belongs_to_what_it_starts_from_and_to_the_hooks(tiny, tmp_path):
    init_default_scope('mmseg')
    tiny.load_from = str(tmp_path / 'start.pth')
    tiny.dpc_search.proxy.pretrain_iters = 3  # the last has a rate of 0
    model = MODELS.build(tiny.model.to_dict())
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'start.pth')
    first = prepare_task(tiny)
    tiny.custom_hooks = [dict(type='EMAHook', momentum=0.5)]
    second = prepare_task(tiny)
    torch.nn.init.ones_(model.backbone.conv1.conv.weight)
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'start.pth')
    third = prepare_task(tiny)
    assert len({task.keys['train'] for task in (first, second, third)}) == 3


@pytest.mark.parametrize('width', [0.25, 0.5, None])
def test_weights_of_another_encoder_are_refused(tiny, tmp_path, width):
    """The features would be those of random weights, as far as names and shapes differ."""
    model = {**tiny.model.to_dict(), 'neck': None}
    model['backbone']['widen_factor'] = width or 0.25
    init_default_scope('mmseg')
    state = MODELS.build(model).state_dict()
    if width is None:  # as published weights of an encoder are named
        state = {name.removeprefix('backbone.'): tensor for name, tensor in state.items()}
    torch.save({'state_dict': state}, tmp_path / 'theirs.pth')
    tiny.load_from = str(tmp_path / 'theirs.pth')
    if width == 0.25:
        assert prepare_task(tiny).keys
        return
    with pytest.raises(ValueError, match=r'holds no backbone\.conv1\.conv\.weight of the shape'):
        prepare_task(tiny)


def test_synchronised_norms_are_plain_in_one_process(tiny, tmp_path):
    tiny.model.backbone.norm_cfg = dict(type='SyncBN')
    tiny.model.decode_head.norm_cfg = dict(type='SyncBN', momentum=3e-4)
    task = prepare_task(tiny)
    assert task.head(CELL)['norm_cfg'] == dict(type='BN', momentum=3e-4)
    assert math.isfinite(train_cell(task, CELL, tmp_path / 'run').miou)


def test_preparing_takes_a_few_lines(tiny):
    said = []
    handler = logging.Handler(logging.INFO)
    handler.emit = lambda record: said.extend(record.getMessage().splitlines())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    try:
        prepare_task(tiny)
    finally:
        logger.removeHandler(handler)
    assert 0 < len(said) < 20


def test_pretraining_happens_once(tiny):
    tiny.dpc_search.proxy.pretrain_iters = 2
    plain = tiny.to_dict()
    first = prepare_task(tiny)
    folder = Path(first.settings.cache_dir)
    files = {p: p.stat().st_mtime_ns for p in folder.glob('*.pth')}
    assert len(files) == 1
    second = prepare_task(tiny)
    assert second.keys == first.keys
    assert files == {p: p.stat().st_mtime_ns for p in folder.glob('*.pth')}
    assert tiny.to_dict() == plain
    tiny.dpc_search.proxy.pretrain_iters = 0
    assert prepare_task(tiny).keys != first.keys


def test_a_cache_of_another_backbone(task, tiny):
    tiny.model.decode_head.in_channels = 16
    other = replace(task, model=tiny.model.to_dict())
    with pytest.raises(ValueError, match='features of 8 channels, the head expects 16'):
        other.head(CELL)


def test_another_head(tiny):
    tiny.model.decode_head.type = 'FCNHead'
    with pytest.raises(ValueError, match="'DPCHead', got 'FCNHead'"):
        prepare_task(tiny)


def test_a_head_may_be_named_by_its_class(tiny):
    by_name = prepare_task(tiny)
    tiny.model.decode_head.type = DPCHead
    assert prepare_task(tiny).keys == by_name.keys


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(max_iters=0), 'max_iters must be'),
        (dict(patience=1.5), 'patience must be'),
        (dict(passes=None), 'passes must be'),
        (dict(pretrain_iters=-1), 'pretrain_iters must be'),
        (dict(iters=3), "unknown key.*'iters'"),
    ],
)
def test_bad_proxy_settings(change, message):
    with pytest.raises(ValueError, match=message):
        ProxySettings.from_config(change)


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(objectives=['parameters']), "start with 'miou'"),
        (dict(objectives=['miou', 'size']), 'different ones of'),
        (dict(objectives=['miou', 'miou']), 'different ones of'),
        (dict(constraints=dict(miou=50)), 'may bound parameters, multiply_adds and latency'),
        (dict(sampler=dict(type='grid')), "a sampler must be one of .*'grid'"),
        (dict(sampler=dict(type='tpe', explore=1)), "unknown key.*'explore'"),
        (dict(sampler=dict(type='local_search', explore=2)), 'explore must lie'),
        (dict(sampler=dict(type='local_search', startup=-1)), 'startup must be'),
        (dict(spaces={}), "unknown key.*'spaces'"),
        (dict(retrain='./missing.py'), 'there is no .*missing.py'),
        (dict(space=dict(rates=[0])), 'rates must be'),
        (dict(grace=10), 'grace must be larger'),
    ],
)
def test_bad_search_settings(tiny, change, message):
    tiny.dpc_search.pop(next(iter(change)), None)
    tiny.dpc_search.update(change)
    with pytest.raises(ValueError, match=message):
        SearchSettings.from_config(tiny)
    tiny.pop('dpc_search')
    with pytest.raises(ValueError, match='has no dpc_search'):
        SearchSettings.from_config(tiny)
