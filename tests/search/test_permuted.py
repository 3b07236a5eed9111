"""A supernet with its weights in random places."""

import runpy
import sys
from pathlib import Path

import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import nn

import mmseg_sparsemask  # noqa: F401
from mmseg_sparsemask.connectivity import prune
from mmseg_sparsemask.models.inheritance import pruned_head
from mmseg_sparsemask.search.permuted import permuted_supernet
from mmseg_sparsemask.search.pruned_file import largest_difference

ROOT = Path(__file__).parents[2]


@pytest.fixture
def head():
    init_default_scope('mmseg')
    built = MODELS.build(
        dict(
            type='FDNHead',
            in_channels=[4, 5, 6, 7],
            in_index=[0, 1, 2, 3],
            strides=[4, 8, 16, 32],
            channels=8,
            num_classes=3,
            connections=dict(type='RelaxedConnections', max_weight=2.0),
        )
    )
    for number, raw in enumerate(built.connections.raw.values()):
        with torch.no_grad():
            raw.copy_(torch.arange(len(raw)) * 0.1 * (number + 1) - 0.2 * number)
            raw.clamp_(0)
    return built.eval()


@pytest.mark.parametrize('seed', [0, 1])
def test_weights_move_and_nothing_else(head, seed):
    before = {name: value.clone() for name, value in head.state_dict().items()}
    weights = head.connection_weights()
    pruned = prune(weights, head.connectivity.strides)
    assert 0 < len(pruned) < len(weights)
    permuted, found = permuted_supernet(head, pruned, seed)
    assert len(found) == len(pruned) and found != pruned
    assert sorted(permuted.connection_weights().values()) == sorted(weights.values())
    kept = [permuted.connection_weights()[connection] for connection in found]
    assert min(kept) >= sorted(weights.values(), reverse=True)[len(pruned) - 1]
    for name, value in permuted.state_dict().items():
        assert torch.equal(value, before[name]) or name.startswith('connections.raw')
    assert all(torch.equal(value, before[name]) for name, value in head.state_dict().items())
    # It can be pruned and inherited from as any other.
    assert largest_difference(permuted, pruned_head(permuted, found)) < 10


def test_a_rule_of_another_kind_is_named(head):
    class Other(nn.Module):
        def weights(self):
            return {stage: torch.ones(len(inputs)) for stage, inputs in head.stages.items()}

    head.connections = Other()
    pruned = prune(head.connection_weights(), head.connectivity.strides)
    with pytest.raises(ValueError, match='Other: expected a ConnectionRule'):
        permuted_supernet(head, pruned, 0)


def test_equal_weights_have_no_places(head):
    with torch.no_grad():
        for raw in head.connections.raw.values():
            raw.fill_(1.0)
    pruned = prune(head.connection_weights(), head.connectivity.strides)
    with pytest.raises(ValueError, match='weights that differ, got .* all 0.5 .RelaxedConn'):
        permuted_supernet(head, pruned, 0)


@pytest.mark.parametrize('other', [['--connectivity', 'flat'], ['--budget', 'parameters=1000']])
def test_one_decoder_is_asked_for(other, monkeypatch, capsys):
    """Permuted weights, connections of one's own, or a point of a front."""
    monkeypatch.setattr(sys, 'argv', ['prune.py', 'a.pth', '--permute-seed', '1', *other])
    with pytest.raises(SystemExit):
        runpy.run_path(str(ROOT / 'tools/prune.py'), run_name='__main__')
    assert 'not allowed with argument --permute-seed' in capsys.readouterr().err
