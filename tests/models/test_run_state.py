"""What counts a run's iterations comes with a resumed run, not with weights alone."""

import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import load_state_dict
from mmseg.registry import MODELS

from mmseg_sparsemask.models.run_state import take_up_state

RAMP = dict(type='SparseConnectivityLoss', ramp=(2, 4))
BUDGET = dict(type='BudgetLoss', budget=dict(parameters=400), ramp=(2, 4))


def make(loss, rule='RelaxedConnections', **options):
    init_default_scope('mmseg')
    sizes = dict(in_channels=[8, 16, 16], in_index=[0, 1, 2], strides=[4, 8, 16])
    connections = dict(type=rule, **options)
    head = dict(type='FDNHead', channels=4, num_classes=2, loss_connectivity=loss, **sizes)
    return MODELS.build({**head, 'connections': connections}).train()


def numbers(head):
    counted = {name: value.clone() for name, value in head.state_dict().items()}
    return {n: v for n, v in counted.items() if n.startswith(('loss_', 'connections.step'))}


@pytest.mark.parametrize('load', ['torch', 'toolbox'])
@pytest.mark.parametrize(
    ('head', 'count'),
    [
        (dict(loss=RAMP), 2),
        (dict(loss=[BUDGET]), 5),
        (dict(loss=None, rule='TopKConnections', k=1), 1),
    ],
    ids=['ramp', 'budget', 'draws'],
)
def test_only_a_resumed_run_takes_up_what_was_counted(head, count, load):
    one, other = make(**head), make(**head)
    new = numbers(other)
    with torch.no_grad():
        for name, value in one.state_dict().items():
            if name.startswith('connections.raw'):
                value.mul_(0.5)
    for _ in range(5):
        weights = one.connections()
        for loss in one.loss_connectivity.modules() if one.loss_connectivity else ():
            if hasattr(loss, 'loss_name'):
                loss(weights)
    saved, counted = one.state_dict(), numbers(one)
    assert len(counted) == count and any(not torch.equal(new[n], counted[n]) for n in counted)
    other.load_state_dict(saved) if load == 'torch' else load_state_dict(other, saved, strict=True)
    assert torch.equal(other.connections.raw['D1'], one.connections.raw['D1'])
    for name, value in numbers(other).items():
        assert torch.equal(value, new[name]), name
    take_up_state(other)
    for name, value in numbers(other).items():
        assert torch.equal(value, counted[name]), name
    take_up_state(other)  # once only
    # Checkpoints written before these were kept still load.
    other.load_state_dict({n: v for n, v in saved.items() if n not in counted})
