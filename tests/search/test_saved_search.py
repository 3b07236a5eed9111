"""Searches in checkpoints: pruned later they give what the search gave, and they run nothing."""

import json
import os
import re
import runpy
import sys
from dataclasses import replace
from functools import partial

import pytest
import torch
from mmengine.runner import Runner
from reference import tiny
from reference.small_search import STAGES, STILL, log_of, make_runner, put_weights, record_of

from mmseg_sparsemask.connectivity import DecoderShape, load, preset
from mmseg_sparsemask.connectivity.latency import LatencyTable
from mmseg_sparsemask.search.finish import finish
from mmseg_sparsemask.search.permuted import permuted_supernet
from mmseg_sparsemask.search.record import HISTORY_KEY, SCORES_KEY
from mmseg_sparsemask.search.saved_search import SEARCH_KEY, read_search
from mmseg_sparsemask.search.supernet import find_supernet
from mmseg_sparsemask.utils.repeatable import weights_digest

RAMP = dict(type='SparseConnectivityLoss', ramp=[2, 9])
BUDGET = dict(type='BudgetLoss', budget=dict(parameters=2000), ramp=[0, 3])


def page_data(folder):
    page = (folder / 'report.html').read_text()
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page)[1]
    return json.loads(found)


def budget_of_a_table(folder):
    shape = DecoderShape((2, 4, 8, 16, 32), (8, 8, 16, 32, 64), 8, 8)
    costs = shape.part_costs(preset('fdn', shape.strides)).parameters
    LatencyTable(costs, shape, (32, 32), 'cpu', 1, {}).save(folder / 'table.json')
    return dict(type='BudgetLoss', budget=dict(latency=2000, table=str(folder / 'table.json')))


@pytest.mark.parametrize('by_epoch', [False, True], ids=['iterations', 'epochs'])
@pytest.mark.parametrize('kind', ['ramp', 'budget', 'both', 'latency'])
def test_pruned_later_as_at_the_end(tmp_path, kind, by_epoch):
    """At an iteration in which the hook checked nothing; files that the config named are gone."""
    loss = dict(ramp=RAMP, budget=BUDGET, both=[RAMP, BUDGET], latency=None)[kind]
    cfg = tiny.load(tiny.write_configs(tmp_path, 4), tmp_path / 'w', **STILL)
    cfg.model.decode_head.loss_connectivity = loss or budget_of_a_table(tmp_path)
    cfg.optim_wrapper.optimizer.lr = 0.01
    if by_epoch:
        cfg.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=1)
        cfg.train_dataloader.sampler = dict(type='DefaultSampler', shuffle=False)
        cfg.train_dataloader.dataset.length = 16
        cfg.default_hooks.checkpoint = dict(type='CheckpointHook', interval=1)
        cfg.log_processor.by_epoch = True
    Runner.from_cfg(cfg).train()
    (tmp_path / 'table.json').unlink(missing_ok=True)
    out, work_dir = tmp_path / 'later', tmp_path / 'w'
    out.mkdir()
    search = read_search(work_dir / ('epoch_1.pth' if by_epoch else 'iter_4.pth'), trust=True)
    found = search.prune()
    text = finish(search, found, out)
    assert found == load(work_dir / 'connectivity.json') and 0 < len(found) <= 30
    names = {path.name for path in out.iterdir()}
    assert names == {p.name for p in work_dir.iterdir() if p.name in names | {'budget.svg'}}
    assert ('budget.svg' in names) == (kind != 'ramp')
    for line in re.findall(r'budget: \S+ .*? of .*?%\)', log_of(work_dir)):
        assert line in text and kind != 'ramp'
    at_the_end, later = page_data(work_dir), page_data(out)
    for key in ('steps', 'weights', 'budgets', 'parameters', 'threshold'):
        assert at_the_end[key] == later[key], key
    # The weights that were pruned stand at the end of the page.
    assert later['steps'] == [0, 3, 4]
    assert later['weights'][-1] == list(search.head.connection_weights().values())


def test_a_supernet_is_known_again_whatever_was_counted(tmp_path):
    """Its front stays on its page: read from a run, a checkpoint, or one with its config."""
    cfg = tiny.load(tiny.write_configs(tmp_path, 4), tmp_path / 'w', **STILL)
    cfg.model.decode_head.loss_connectivity = [RAMP, BUDGET]
    runner = Runner.from_cfg(cfg)
    runner.train()
    config = next((tmp_path / 'w').glob('search.py'))
    found = [
        read_search(tmp_path / 'w/iter_4.pth', c, trust=True).head for c in (None, str(config))
    ]
    heads = [find_supernet(runner.model), *found]
    assert len({weights_digest(head) for head in heads}) == 1
    heads[0].conv_seg.bias.data += 1
    assert weights_digest(heads[0]) != weights_digest(heads[1])


def test_a_permuted_search_shows_the_permuted_weights(tmp_path):
    make_runner(tmp_path, 4).train()
    search = read_search(tmp_path / 'w/iter_4.pth', trust=True)
    search.scores.append((4, 'mIoU', 50.0))
    head, found = permuted_supernet(search.head, search.prune(), 1)
    permuted = search.with_head(head, 'permuted')
    finish(permuted, found, tmp_path)
    data = page_data(tmp_path)
    assert data['steps'] == [4] and data['weights'] == [list(head.connection_weights().values())]
    assert data['weights'][0] != list(search.head.connection_weights().values())
    # What the search scored is no score of these weights.
    assert not data['scores'] and permuted.prune() == found


def test_the_last_validation_is_on_the_page(tmp_path):
    still = {key: value for key, value in STILL.items() if not key.startswith('val_')}
    cfg = tiny.load(tiny.write_configs(tmp_path, 4), tmp_path / 'w', **still)
    cfg.train_cfg.val_begin = 100
    runner = Runner.from_cfg(cfg)
    put_weights(runner, STAGES, 0.0)
    runner.train()
    ((step, value),) = page_data(tmp_path / 'w')['scores']
    assert step == 4 and f'{value:.2f}' in log_of(tmp_path / 'w')


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp('saved')
    make_runner(folder, 4, retrain_config=None).train()
    return folder / 'w/iter_4.pth'


def test_cut_to_connections_of_ones_own_choice(saved, tmp_path):
    search = read_search(saved, trust=True)
    wanted = search.cut('unet')
    finish(search, wanted, tmp_path)
    assert load(tmp_path / 'connectivity.json').stages == preset('unet', wanted.strides).stages
    pruned = torch.load(tmp_path / 'pruned.pth', weights_only=False)['state_dict']
    assert {name for name in pruned if 'convs.D1.' in name} == {
        'decode_head.convs.D1.D2',
        'decode_head.convs.D1.E1',
    }
    search.head.connectivity = wanted
    with pytest.raises(ValueError, match='connections of the supernet, got'):
        search.cut('flat')


def test_connections_that_end_elsewhere_than_the_supernet(saved, tmp_path):
    """The two are compared at the end that both can have."""
    search = read_search(saved, trust=True)
    wanted = search.cut({'strides': [2, 4, 8, 16, 32], 'stages': {'D3': ['E3', 'E5', 'G']}})
    for dropped in (1.0, 0.0):
        for stage, raw in search.head.connections.raw.items():
            for place, source in enumerate(search.head.connectivity.stages[stage]):
                raw.data[place] = 1.0 if (source, stage) in wanted else dropped
        text = finish(search, wanted, tmp_path)
        assert ('so the decoders are not equal' in text) == bool(dropped)
        assert load(tmp_path / 'connectivity.json').end == 'D3'


def changed(saved, folder, change):
    content = torch.load(saved, weights_only=False)
    change(content)
    torch.save(content, folder / 'changed.pth')
    return folder / 'changed.pth'


def history_of(content):
    return content['message_hub']['runtime_info'][HISTORY_KEY]


def name_config(content, **settings):
    content['meta'][SEARCH_KEY]['hook'].update(settings)


EVIL = dict(
    type='SparseMaskHead', in_channels=[1, 1], in_index=[0, 1], num_classes=2,
    loss_decode=dict(type='CrossEntropyLoss', class_weight='http://127.0.0.1:9/w.pkl'),
)  # fmt: skip


@pytest.mark.parametrize(
    ('part', 'words'),
    [
        (dict(connections=EVIL), 'expected the name of a registered ConnectionRule'),
        (dict(connections=dict(type='RelaxedConnections', noise_std='x')), 'noise_std: expected'),
        (dict(connections=dict(type='RelaxedConnections', hook=1)), 'hook: is no setting'),
        (dict(act_cfg=EVIL), 'act_cfg.type: expected one of'),
        (dict(norm_cfg=dict(type='FDNHead')), 'norm_cfg.type: expected one of'),
        (dict(connectivity='other.json'), 'connectivity: expected an object'),
        (dict(_scope_='os'), '_scope_: is none of the settings'),
        (dict(channels=2**40), 'channels: expected a whole number'),
    ],
)
def test_a_description_builds_nothing_else(saved, tmp_path, part, words):
    path = changed(saved, tmp_path, lambda c: c['meta'][SEARCH_KEY]['head'].update(part))
    with pytest.raises(ValueError, match=rf'cannot be used \(head.*{words}'):
        read_search(path)


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (lambda c: c.update(meta=None), 'does not describe its search'),
        (lambda c: c['message_hub'].update(runtime_info=[1]), 'record .* cannot be used'),
        (lambda c: c.update(state_dict=None), 'holds no supernet'),
        (lambda c: c['meta'].update({SEARCH_KEY: None}), 'description .* cannot be used'),
        (lambda c: c['meta'][SEARCH_KEY].update(hook=None), 'description .* cannot be used'),
        (lambda c: c['meta'][SEARCH_KEY]['hook'].update(threshold=7), r'in \(0, 1\), got 7'),
        (lambda c: c['meta'].update(iter='x'), 'record of the search cannot be used'),
        (lambda c: history_of(c).update(steps=5), 'record of the search cannot be used'),
        (lambda c: history_of(c).update(weights=[['a']]), 'record of the search cannot be used'),
        (lambda c: history_of(c)['weights'][0].pop(), 'history: expected 30 weights a step'),
        (
            lambda c: c['meta'][SEARCH_KEY].update(budgets=[dict(latency=1, table='t.json')]),
            'expected the content of a latency table, got a path',
        ),
        (
            lambda c: c['state_dict'].pop('decode_head.conv_seg.bias'),
            r'does not fit the config: conv_seg\.bias',
        ),
    ],
)
def test_a_damaged_checkpoint_is_one_line(saved, tmp_path, change, words):
    with pytest.raises(ValueError, match=words) as error:
        read_search(changed(saved, tmp_path, change))
    assert 'changed.pth' in str(error.value)


@pytest.mark.parametrize('setting', ['retrain_config', 'finetune_config'])
def test_a_config_that_a_checkpoint_names_is_not_run(saved, tmp_path, monkeypatch, setting):
    """Not even one that the path of a config of this project leads to."""
    evil = tmp_path / 'configs/sparsemask/evil.py'
    evil.parent.mkdir(parents=True)
    evil.write_text(f'open({str(tmp_path / "made")!r}, "w")\n')
    option = f'--{setting.replace("_", "-")}'
    out_of_it = tiny.ROOT / 'configs' / os.path.relpath(evil, (tiny.ROOT / 'configs').resolve())
    assert out_of_it.is_file()
    for named in (str(evil), str(out_of_it), 'configs/../evil.py', 'evil.py', 7, [str(evil)], ''):
        path = changed(saved, tmp_path, partial(name_config, **{setting: named}))
        monkeypatch.setattr(sys, 'argv', ['prune.py', str(path), '--out', str(tmp_path / 'out')])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(tiny.ROOT / 'tools/prune.py'), run_name='__main__')
        assert (
            'none of the configs of this project' in stop.value.code and option in stop.value.code
        )
        assert '--trust-checkpoint' in stop.value.code and '\n' not in stop.value.code
    assert not (tmp_path / 'made').exists() and not (tmp_path / 'out').exists()


def test_a_config_of_this_project_is_found_by_its_name(saved, tmp_path):
    """Wherever the project lay where the search ran."""
    name = 'configs/sparsemask/sparsemask_mbv2_shapes.py'
    hook = dict(retrain_config=f'/home/someone/project/{name}')
    path = changed(saved, tmp_path, partial(name_config, **hook))
    settings = read_search(path).settings
    assert settings.retrain_config == str(tiny.ROOT / name) and settings.finetune_config is None
    assert read_search(path, trust=True).settings.retrain_config == hook['retrain_config']
    assert read_search(path, retrain_config='x.py').settings.retrain_config == 'x.py'


@pytest.mark.parametrize('part', ['message_hub', 'optimizer'])
def test_what_is_not_needed_may_be_missing(saved, tmp_path, part):
    search = read_search(changed(saved, tmp_path, lambda c: c.update({part: None})))
    assert search.prune() == read_search(saved).prune()


def test_a_search_that_pruned_nothing_says_what_helps(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(
        'mmseg_sparsemask.search.finish.print_log', lambda text, **options: said.append(text)
    )
    runner = make_runner(tmp_path, 1)
    record = record_of(find_supernet(runner.model))
    finish(record, record.prune(), tmp_path)
    assert not said
    put_weights(runner, preset('fdn', (2, 4, 8, 16, 32)).stages, 0.0)
    record = record_of(find_supernet(runner.model))
    finish(record, record.prune(), tmp_path)
    (text,) = said
    assert 'nothing was pruned: all 30 connections' in text and 'from 0.75 to 0.75' in text
    for remedy in ('Train longer', 'loss_weight', 'connections_lr', 'BudgetLoss'):
        assert remedy in text


def test_scores_keep_their_place_in_checkpoints(saved):
    hub = torch.load(saved, weights_only=False)['message_hub']['runtime_info']
    assert hub.get(SCORES_KEY, []) == read_search(saved).scores


@pytest.mark.parametrize(
    'place',
    ['decode_head.0.', 'auxiliary_head.', 'module.decode_head.1.', 'module.auxiliary_head.'],
)
def test_a_supernet_beside_other_heads_becomes_the_decode_head(tmp_path, place):
    """As finetune.py has it: the other heads are none of it."""
    head = find_supernet(make_runner(tmp_path).model)
    record = record_of(head)
    (tmp_path / 'alone').mkdir()
    finish(record, record.prune(), tmp_path / 'alone')
    outer = 'module.' * place.startswith('module.')
    state = {f'{place}{key}': value for key, value in head.state_dict().items()}
    state |= {f'{outer}decode_head.2.conv_seg.weight': torch.zeros(1)}
    state |= {f'{outer}backbone.weight': torch.ones(1)}
    finish(replace(record, state=state, prefix=place), record.prune(), tmp_path)
    alone, found = (
        torch.load(folder / 'pruned.pth', weights_only=True)['state_dict']
        for folder in (tmp_path / 'alone', tmp_path)
    )
    assert found.pop('backbone.weight') == 1
    assert found.keys() == alone.keys()
    assert all(torch.equal(value, alone[key]) for key, value in found.items())
