"""BudgetLoss against steps by hand, over whole searches without data, and its bad input."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_sparsemask.connectivity import Connection, Connectivity, DecoderShape, preset
from mmseg_sparsemask.connectivity.budget import fit_budgets
from mmseg_sparsemask.connectivity.cost import PartCosts
from mmseg_sparsemask.connectivity.latency import LatencyTable
from mmseg_sparsemask.connectivity.presets import MBV2_CHANNELS, MBV2_STRIDES
from mmseg_sparsemask.models.connections import RelaxedConnections
from mmseg_sparsemask.models.losses import BudgetLoss, SparseConnectivityLoss
from mmseg_sparsemask.models.run_state import take_up_state

SPACE = Connectivity([2, 4], {'D2': ['E2', 'G'], 'D1': ['E1', 'E2', 'D2', 'G']})
SHAPE = DecoderShape([2, 4], [3, 5], 4, 2)
FULL = preset('fdn', MBV2_STRIDES)


def small(limit, **arguments):
    """A loss on `SPACE`: E1 has 3 channels, E2 and G 5, stages 4; two classes.

    Parameters: E1 12, E2 and G 20 each, D2 16, 8 a stage, classifier 10: 134 in all.
    """
    loss = BudgetLoss(dict(parameters=limit), **arguments)
    loss.set_costs(SPACE, SHAPE)
    return loss


def weights_of(d2, d1, grad=True):
    return {
        'D2': torch.tensor(d2, requires_grad=grad),
        'D1': torch.tensor(d1, requires_grad=grad),
    }


def test_one_step_by_hand():
    loss = small(100, controller=dict(eta=0.5))
    # G -> D2 is the smallest: without it 114; E2 -> D1 next: 94, within 100 and above 90.
    weights = weights_of([0.9, 0.2], [0.9, 0.3, 0.9, 0.9])
    value = loss(weights)
    # lambda = 0.5 (134 / 100 - 1) = 0.17; costs 20 each, and a share of their stage's 8; mean 18.
    mean = (12 + 20 * 4 + 16) / 6
    pressure = [(20 + 8 / 2) / mean, (20 + 8 / 4) / mean]
    assert float(value) == pytest.approx(0.17 * (0.2 * pressure[0] + 0.3 * pressure[1]))
    value.backward()
    assert weights['D2'].grad.tolist() == pytest.approx([0.0, 0.17 * pressure[0]])
    assert weights['D1'].grad.tolist() == pytest.approx([0.0, 0.17 * pressure[1], 0.0, 0.0])
    assert loss.step == 1 and float(loss.multiplier) == pytest.approx(0.17)


def test_what_is_nearly_gone_but_fits_is_held_up():
    loss = small(100, controller=dict(eta=0.5))
    weights = weights_of([0.9, 0.0], [0.9, 0.0, 0.05, 0.9])
    loss.multiplier.fill_(1.0)
    loss(weights).backward()
    # D2 -> D1 stays, and is pulled up; what is gone is held down. Nothing else is touched.
    assert weights['D1'].grad[2] < 0
    assert weights['D2'].grad[1] > 0 and weights['D1'].grad[1] > 0
    assert weights['D1'].grad[0] == weights['D1'].grad[3] == weights['D2'].grad[0] == 0


def test_within_the_budget_lambda_falls_to_zero():
    loss = small(130, controller=dict(eta=0.5))
    weights = weights_of([0.9, 0.0], [0.9] * 4)
    loss.multiplier.fill_(0.05)
    values = [float(loss(weights)) for _ in range(3)]
    # 134 - 20 = 114 of 130: the error is -0.123, and lambda never below 0.
    assert values == [0.0, 0.0, 0.0] and float(loss.multiplier) == 0.0


def test_target_comes_down_by_hand():
    loss = small(100, ramp=(2, 4))
    seen = []
    for _ in range(6):
        seen.append(loss.target)
        loss(weights_of([0.9] * 2, [0.9] * 4))
    assert seen == [134, 134, 134, 117, 100, 100]


def test_no_step_in_evaluation():
    loss = small(100).eval()
    loss(weights_of([0.9] * 2, [0.9] * 4))
    assert loss.step == 0 and loss.multiplier == 0 and loss.kept.all()


def search(loss, iterations, connections=None, optimizer=None, seed=0):
    """Connections under the loss and a fixed benefit each, with SGD: no network, no data."""
    generator = torch.Generator().manual_seed(seed)
    benefit = {
        stage: torch.rand(len(sources), generator=generator) * 0.02
        for stage, sources in FULL.stages.items()
    }
    connections = connections or RelaxedConnections(FULL)
    optimizer = optimizer or torch.optim.SGD(connections.parameters(), lr=0.08, momentum=0.9)
    for _ in range(iterations):
        drawn = connections()
        task = -sum((benefit[stage] * weight).sum() for stage, weight in drawn.items())
        optimizer.zero_grad()
        (task + loss(connections.weights())).backward()
        optimizer.step()
    return connections, optimizer


def now(connections):
    return {
        Connection(source, stage): float(weight)
        for stage, weights in connections.weights().items()
        for source, weight in zip(FULL.stages[stage], weights)
    }


@pytest.mark.parametrize(
    'budget',
    [
        dict(parameters=150_000),
        dict(parameters=300_000),
        dict(parameters=600_000),
        dict(multiply_adds=9_000_000, image_size=(96, 96)),
        dict(multiply_adds=18_000_000, image_size=(96, 96)),
    ],
)
def test_searches_end_within_the_budget_with_one_setting(budget):
    loss = BudgetLoss(budget, ramp=(60, 180), controller=dict(eta=0.03))
    loss.set_costs(FULL, DecoderShape(MBV2_STRIDES, MBV2_CHANNELS, 64, 6))
    connections, _ = search(loss, 500)
    weights = now(connections)
    kept = fit_budgets(weights, [loss.budget], loss.threshold)
    assert 0.9 * loss.budget.limit <= loss.budget.costs.total(kept) <= loss.budget.limit


def test_resumed_search_is_equal_to_the_bit():
    def new():
        loss = BudgetLoss(
            dict(parameters=150_000), ramp=(10, 30), controller=dict(eta=0.03, nu=0.5)
        )
        loss.set_costs(FULL, DecoderShape(MBV2_STRIDES, MBV2_CHANNELS, 64, 6))
        return loss

    straight = new()
    expected, _ = search(straight, 60)
    first = new()
    connections, optimizer = search(first, 25)
    resumed = new()
    resumed.load_state_dict(copy.deepcopy(first.state_dict()))
    take_up_state(resumed)
    found, _ = search(resumed, 35, connections, optimizer)
    for (name, ours), theirs in zip(found.state_dict().items(), expected.state_dict().values()):
        assert torch.equal(ours, theirs), name
    for (name, ours), theirs in zip(resumed.state_dict().items(), straight.state_dict().values()):
        assert torch.equal(ours, theirs), name
    assert float(resumed.multiplier) > 0


def test_ramp_of_the_sparse_loss_by_hand():
    weights = weights_of([0.3, 0.6], [0.2, 0.5, 0.7, 0.9])
    full = SparseConnectivityLoss(loss_weight=2.0)(weights)
    loss = SparseConnectivityLoss(loss_weight=2.0, ramp=(1, 5))
    shares = [float(loss(weights) / full) for _ in range(7)]
    assert shares == pytest.approx([0, 0, 0.25, 0.5, 0.75, 1, 1])
    other = SparseConnectivityLoss(loss_weight=2.0, ramp=(1, 5))
    other.load_state_dict({'step': torch.tensor(3)})
    take_up_state(other)
    assert torch.equal(other(weights), full * 0.5)
    loss.eval()(weights)
    assert loss.step == 7
    assert not SparseConnectivityLoss().state_dict()  # as in checkpoints written before


HEAD = dict(
    type='FDNHead',
    in_channels=[3, 5],
    in_index=[0, 1],
    strides=[2, 4],
    channels=4,
    num_classes=2,
    loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
)
SPARSE = dict(type='SparseConnectivityLoss')
BUDGET = dict(type='BudgetLoss', budget=dict(parameters=80))


@pytest.mark.parametrize(
    ('losses', 'names'),
    [
        (SPARSE, {'loss_connectivity'}),
        (BUDGET, {'loss_connectivity'}),
        ([SPARSE, BUDGET], {'loss_sparse_connectivity', 'loss_budget'}),
        ([dict(type='L1ConnectivityLoss')], {'loss_l1_connectivity'}),
        (None, set()),
    ],
)
def test_head_takes_one_loss_or_a_list(losses, names):
    head = MODELS.build({**HEAD, 'loss_connectivity': losses})
    features = [torch.randn(2, 3, 8, 8), torch.randn(2, 5, 4, 4)]
    samples = [
        SegDataSample(gt_sem_seg=PixelData(data=torch.randint(0, 2, (1, 16, 16)))) for _ in 'ab'
    ]
    found = head.loss_by_feat(head(features), samples)
    assert {name for name in found if name.startswith('loss')} == names | {'loss_ce'}
    sum(value for name, value in found.items() if name in names | {'loss_ce'}).backward()


@pytest.mark.parametrize(
    ('losses', 'words'),
    [
        ([BUDGET, BUDGET], '2 budgets of parameters, expected one of a kind; keep the smaller'),
        ([], 'expected at least one loss in the list, or None'),
        (dict(BUDGET, budget=dict(parameters=29)), 'the cheapest decoder .* costs 30 parameters'),
    ],
)
def test_bad_losses_of_a_head(losses, words):
    with pytest.raises(ValueError, match=words):
        MODELS.build({**HEAD, 'loss_connectivity': losses})


def test_budget_above_the_full_network_is_a_warning(monkeypatch):
    said = []
    monkeypatch.setattr(
        'mmseg_sparsemask.models.losses.budget_loss.print_log', lambda text, **_: said.append(text)
    )
    small(134)
    (text,) = said
    assert 'costs 134 parameters, within the budget of 134 parameters: there is nothing to' in text
    small(133)
    assert len(said) == 1


@pytest.mark.parametrize(
    ('budget', 'words'),
    [
        (dict(params=5), r"budget: expected dict\(parameters=\.\.\.\).*got {'params': 5}"),
        (dict(parameters=5, latency=3), r'budget: expected dict\(parameters=\.\.\.\)'),
        (dict(parameters=5, image_size=(8, 8)), r'budget: expected dict\(parameters=\.\.\.\)'),
        (None, r'budget: expected dict\(parameters=\.\.\.\).*got None'),
        (dict(parameters=0), 'expected a positive number of parameters, got 0'),
        (dict(multiply_adds=5), r'expected also image_size=\(height, width\), in pixels'),
        (dict(multiply_adds=5, image_size=8), r'image_size: expected \(height, width\).*got 8'),
        (dict(multiply_adds=5, image_size=(8, 0)), 'image_size: expected'),
        (dict(latency=5), 'expected table=path of a file that python tools/latency_table.py wrote'),
        (dict(latency=5, table='no/such.json'), "expected table=path .*got 'no/such.json'"),
    ],
)
def test_bad_budgets(budget, words):
    with pytest.raises(ValueError, match=words):
        BudgetLoss(budget)


def test_no_costs_yet():
    with pytest.raises(RuntimeError, match='expected set_costs'):
        BudgetLoss(dict(parameters=5)).budget  # noqa: B018


@pytest.fixture
def table(tmp_path):
    """Path of a table in which a parameter takes a millisecond."""
    costs = SHAPE.part_costs(SPACE).parameters
    path = tmp_path / 'table.json'
    LatencyTable(costs, SHAPE, (32, 64), 'cpu', 1, {'processor': 'P'}).save(path)
    return str(path)


def test_latency_takes_its_costs_from_the_table(table):
    loss = BudgetLoss(dict(latency=100, table=table), controller=dict(eta=0.5))
    loss.set_costs(SPACE, SHAPE)
    weights = weights_of([0.9, 0.2], [0.9, 0.3, 0.9, 0.9])
    assert float(loss(weights)) == pytest.approx(
        float(small(100, controller=dict(eta=0.5))(weights))
    )
    assert isinstance(loss.budget.costs, PartCosts) and loss.budget.full == 134


def test_a_shared_resize_is_paid_for_in_equal_parts(tmp_path):
    e2, d2 = Connection('E2', 'D1'), Connection('D2', 'D1')
    costs = replace(SHAPE.part_costs(SPACE).parameters, shared={frozenset([e2, d2]): 12})
    path = tmp_path / 'table.json'
    LatencyTable(costs, SHAPE, (32, 64), 'cpu', 1).save(path)
    loss = BudgetLoss(dict(latency=80, table=str(path)), controller=dict(eta=0.5))
    loss.set_costs(SPACE, SHAPE)
    assert loss.budget.full == 134 + 12
    # What stays is E2 -> D2 -> D1: 10 + 20 + 8 + 16 + 12 + 8 = 74 of 80.
    weights = weights_of([0.9, 0.1], [0.9, 0.3, 0.8, 0.2])
    loss(weights).backward()
    multiplier = 0.5 * (146 / 80 - 1)
    # E2 has 20 and 6 of the resize, all have a quarter of their stage's 8; the mean has no stages.
    mean = (12 + 20 * 4 + 16 + 12) / 6
    expected = [(12 + 2) / mean, (20 + 6 + 2) / mean, 0, (20 + 2) / mean]
    assert weights['D1'].grad.tolist() == pytest.approx([multiplier * p for p in expected])


@pytest.mark.parametrize(
    ('options', 'head', 'words'),
    [
        ({}, dict(in_channels=[3, 6]), r'in_channels=\(3, 5\), expected \(3, 6\); make one for'),
        ({}, dict(channels=8), 'measured for channels=4, expected 8'),
        ({}, dict(num_classes=3), 'measured for num_classes=2, expected 3'),
        (dict(image_size=(64, 64)), {}, r'image_size=\(32, 64\), expected \(64, 64\)'),
        (dict(device='cuda'), {}, 'measured for device=cpu, expected cuda'),
        (dict(threads=2), {}, 'measured for threads=1, expected 2'),
    ],
)
def test_table_of_something_else(table, options, head, words):
    loss = BudgetLoss(dict(latency=100, table=table, **options))
    with pytest.raises(ValueError, match=words):
        loss.set_costs(SPACE, replace(SHAPE, **head))


@pytest.mark.parametrize('error, most, fits', [(0.2, None, 1), (0.37, None, 0), (0.37, 0.4, 1)])
def test_a_table_that_is_far_off_is_refused_unless_told_otherwise(error, most, fits, tmp_path):
    costs, path = SHAPE.part_costs(SPACE).parameters, tmp_path / 'table.json'
    LatencyTable(costs, SHAPE, (32, 64), 'cpu', 1, {'mean_error': error}).save(path)
    more = {} if most is None else {'largest_error': most}
    loss = BudgetLoss(dict(latency=100, table=str(path), **more))
    if fits:
        loss.set_costs(SPACE, SHAPE)
    else:
        with pytest.raises(ValueError, match=r'not fit for use: it is off by 37%.*largest_error'):
            loss.set_costs(SPACE, SHAPE)
    with pytest.raises(ValueError, match='largest_error: expected a number above 0'):
        BudgetLoss(dict(latency=100, table=str(path), largest_error='much'))


def test_a_table_without_a_connection_of_the_search(table):
    content = json.loads(Path(table).read_text())
    del content['milliseconds']['connections']['E2 -> D1']
    loss = BudgetLoss(dict(latency=100, table=content))
    with pytest.raises(ValueError, match='no time of E2 -> D1; make one'):
        loss.set_costs(SPACE, SHAPE)


def test_table_of_other_strides(table):
    other = Connectivity([4, 8], dict(SPACE.stages))
    with pytest.raises(ValueError, match=r'strides=\(2, 4\), expected \(4, 8\)'):
        BudgetLoss(dict(latency=100, table=table)).set_costs(other, replace(SHAPE, strides=(4, 8)))
