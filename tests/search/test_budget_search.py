"""Real searches with a budget: log, scalars, files, resuming, and what stops them at the start."""

import re

import pytest
import torch
from mmengine.runner import Runner
from reference import tiny

from mmseg_sparsemask.connectivity import DecoderShape, load
from mmseg_sparsemask.connectivity.latency import LatencyTable
from mmseg_sparsemask.search.supernet import find_supernet

LOSS = 'model.decode_head.loss_connectivity'
NO_VALIDATION = {'val_cfg': None, 'val_dataloader': None, 'val_evaluator': None}


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make_runner(folder, budget, iterations=6, hook=None, **loss):
    folder.mkdir(exist_ok=True)
    config = tiny.write_configs(folder, iterations)
    cfg = tiny.load(config, folder / 'w', **NO_VALIDATION)
    cfg.model.decode_head.loss_connectivity = dict(type='BudgetLoss', budget=budget, **loss)
    cfg.custom_hooks[0].update(hook or {})
    return Runner.from_cfg(cfg)


def log_of(work_dir):
    return '\n'.join(path.read_text() for path in sorted(work_dir.glob('*/*.log')))


def test_search_ends_within_the_budget_and_says_so(tmp_path):
    """Six iterations move no weight to 0: the exact end makes all of the difference."""
    runner = make_runner(tmp_path, dict(parameters=2000))
    runner.train()
    work_dir = tmp_path / 'w'
    found = load(work_dir / 'connectivity.json')
    cost = DecoderShape(found.strides, [8, 8, 16, 32, 64], 8, 8).cost(found).parameters
    assert 1800 <= cost <= 2000
    assert found.meta['budget'] == {'parameters': 2000}
    assert found.meta['cost'] == {'parameters': cost}
    text = log_of(work_dir)
    pattern = (
        r'budget: 7,512 parameters if pruned now, 2,000 parameters wanted '
        r'\(2,000 parameters by now\), lambda (\S+)'
    )
    multipliers = [float(value) for value in re.findall(pattern, text)]
    assert len(multipliers) == 2 and 0 < multipliers[0] < multipliers[1]
    assert f'budget: {cost:,} parameters of 2,000 parameters ({cost / 2000:.1%})' in text
    assert (work_dir / 'budget.svg').read_text().count('if pruned then') == 1
    scalars = runner.message_hub.log_scalars
    assert scalars['train/parameters_cost'].current() == 7512
    assert scalars['train/parameters_budget'].current() == 2000
    assert scalars['train/parameters_lambda'].current() == pytest.approx(multipliers[1], rel=0.01)


def test_latency_is_measured_at_the_end(tmp_path):
    runner = make_runner(tmp_path / 'a', dict(parameters=2000))
    head = find_supernet(runner.model)
    costs = head.shape.part_costs(head.connectivity).parameters
    path = tmp_path / 'table.json'
    LatencyTable(costs, head.shape, (32, 32), 'cpu', 1, {'processor': 'another'}).save(path)
    make_runner(tmp_path / 'b', dict(latency=2000, table=str(path))).train()
    text = log_of(tmp_path / 'b/w')
    assert re.search(
        r'budget: \S+ ms of 2000\.00 ms \(9\d\.\d%\), \S+ ms measured \(prediction \S+%\); '
        r'on .*, the table is of another',
        text,
    )


def test_state_of_the_controller_is_in_checkpoints(tmp_path):
    runner = make_runner(tmp_path, dict(parameters=2000), iterations=4)
    runner.train()
    state = torch.load(tmp_path / 'w/iter_4.pth', weights_only=False)['state_dict']
    loss = find_supernet(runner.model).loss_connectivity
    for name in ('step', 'multiplier', 'smoothed', 'kept'):
        saved = state[f'decode_head.loss_connectivity.{name}']
        assert torch.equal(saved, getattr(loss, name)), name
    assert state['decode_head.loss_connectivity.step'] == 4


@pytest.mark.parametrize('resume', [True, False], ids=['resume', 'load_from'])
def test_only_a_resumed_search_goes_on_with_the_controller(tmp_path, resume):
    make_runner(tmp_path / 'a', dict(parameters=2000), 4, ramp=(0, 5)).train()
    runner = make_runner(tmp_path / 'b', dict(parameters=2000), 5, ramp=(0, 5))
    runner._resume, runner._load_from = resume, str(tmp_path / 'a/w/iter_4.pth')
    runner.train()
    head = find_supernet(runner.model)
    assert head.loss_connectivity.step == head.connections.step == 5


def test_another_threshold_is_refused_before_training(tmp_path):
    runner = make_runner(tmp_path, dict(parameters=2000), hook=dict(threshold=0.01))
    with pytest.raises(ValueError, match=r'counts weights from 0\.001 on, PruneHook from 0\.01 on'):
        runner.train()
    assert runner.iter == 0


def test_too_small_a_budget_is_refused_before_training(tmp_path):
    # E1 or E2 -> D1: 8 * 8 weights, 16 of the stage, 72 of the classifier.
    with pytest.raises(ValueError, match='the cheapest decoder .* costs 152 parameters; ask for'):
        make_runner(tmp_path, dict(parameters=151))
