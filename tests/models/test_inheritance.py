"""A pruned decoder with the supernet's weights is the supernet."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmseg.registry import MODELS
from reference.heads import CASES, features_of, make_head, relative
from reference.naive import naive_copy

from mmseg_sparsemask.connectivity import Connectivity, prune
from mmseg_sparsemask.connectivity.prune import drop_unreachable, keep_above
from mmseg_sparsemask.models.inheritance import inherited_state, pruned_head


def features_for(case, dtype, batch=2):
    strides, channels, size = CASES[case]
    return [f.detach() for f in features_of(strides, channels, size, batch, dtype)]


def set_weights(head, live, low=0.2):
    """Random raw weights, exactly 0 for the connections that are not `live`."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for stage, sources in head.stages.items():
            raw = low + (2 - low) * torch.rand(len(sources), generator=generator)
            alive = torch.tensor([(source, stage) in live for source in sources])
            head.connections.raw[stage].copy_(raw * alive)


def check(head, features, tolerance, **options):
    head.eval()
    before = copy.deepcopy(head.state_dict())
    connectivity = prune(head.connection_weights(), head.connectivity.strides, **options)
    pruned = pruned_head(head, connectivity)
    with torch.no_grad():
        expected = head(features)
        assert relative(pruned(features), expected) < tolerance
        # The same from the equations as written.
        weights = dict(head.connections.weights_in_pass(None))
        assert relative(naive_copy(head)(features, weights), expected) < tolerance
    assert all(torch.equal(value, before[name]) for name, value in head.state_dict().items())
    return connectivity, pruned


@pytest.mark.parametrize(
    ('case', 'norm', 'dtype', 'tolerance'),
    [
        *((case, 'BN', torch.float64, 1e-10) for case in CASES),
        ('mbv2-like', 'BN', torch.float32, 1e-5),
        ('odd', 'SyncBN', torch.float64, 1e-10),
    ],
)
@settings(max_examples=12)
@given(data=st.data())
def test_any_subset(case, norm, dtype, tolerance, data):
    head = make_head('FDNHead', case, dtype, norm_cfg=dict(type=norm))
    if norm == 'SyncBN':
        # On a CPU it runs in evaluation only.
        head.eval()
    every, end = list(head.connectivity), head.connectivity.end
    live = data.draw(st.sets(st.sampled_from(every), min_size=1))
    live |= {
        data.draw(st.sampled_from([c for c in every if c.stage == end and c.source[0] != 'D']))
    }
    set_weights(head, live)
    connectivity, _ = check(head, features_for(case, dtype), tolerance)
    assert set(connectivity) == drop_unreachable(live, end)


def test_a_stage_that_lost_its_inputs_is_a_constant():
    """D4 and, with it as its only input, D3 lost theirs; D2 and D1 still use both."""
    head = make_head('FDNHead', 'odd', torch.float64)
    live = {
        *[('D4', 'D3'), ('D4', 'D2'), ('D3', 'D2'), ('E2', 'D2')],
        *[('D2', 'D1'), ('D4', 'D1'), ('D3', 'D1'), ('E1', 'D1')],
    }
    set_weights(head, live)
    connectivity, pruned = check(head, features_for('odd', torch.float64), 1e-10)
    assert dict(connectivity.stages) == {'D2': ('E2',), 'D1': ('E1', 'D2')}
    # The constants are no small matter: without them the logits are others.
    with torch.no_grad():
        for stage in ('D1', 'D2'):
            pruned.norms[stage].running_mean.copy_(head.norms[stage].running_mean)
        features = features_for('odd', torch.float64)
        assert relative(pruned(features), head(features)) > 1e-2


def test_a_stage_of_the_average_alone():
    head = make_head('FDNHead', 'odd', torch.float64)
    set_weights(head, {('G', 'D4'), ('D4', 'D1'), ('G', 'D1')})
    connectivity, _ = check(head, features_for('odd', torch.float64), 1e-10)
    assert dict(connectivity.stages) == {'D4': ('G',), 'D1': ('D4', 'G')}


@pytest.mark.parametrize('norm', [dict(affine=False), dict(track_running_stats=False)])
def test_other_normalisations(norm):
    strides, channels, _ = CASES['odd']
    config = dict(
        type='FDNHead',
        in_channels=channels,
        in_index=range(4),
        strides=strides,
        num_classes=3,
        channels=8,
        norm_cfg=dict(type='BN', **norm),
    )
    config['in_index'] = list(config['in_index'])
    head = MODELS.build(config).double().eval()
    set_weights(head, {('E1', 'D1'), ('D3', 'D1'), ('E3', 'D3'), ('D4', 'D1')})
    connectivity = prune(head.connection_weights(), strides)
    pruned = pruned_head(head, connectivity)
    features = features_for('odd', torch.float64)
    with torch.no_grad():
        assert relative(pruned(features), head(features)) < 1e-10


def test_top_k():
    head = make_head('FDNHead', 'odd', torch.float64, connections=dict(type='TopKConnections', k=2))
    with torch.no_grad():
        for raw in head.connections.raw.values():
            raw.uniform_(0, 1)
    head.eval()
    connectivity = prune(head.connection_weights(), head.connectivity.strides)
    pruned = pruned_head(head, connectivity)
    features = features_for('odd', torch.float64)
    with torch.no_grad():
        assert relative(pruned(features), head(features)) < 1e-10
    assert len(connectivity.stages['D1']) == 2


def test_weights_of_half_range():
    """max_weight=1: what scales is the raw weight, not the weight in [0, 1] that pruning sees."""
    head = make_head(
        'FDNHead', 'odd', torch.float64, connections=dict(max_weight=1.0, noise_std=0.5)
    )
    set_weights(head, {('E1', 'D1'), ('G', 'D1'), ('D2', 'D1'), ('E3', 'D2')}, low=0.6)
    with torch.no_grad():
        for raw in head.connections.raw.values():
            raw.mul_(0.5)
    check(head, features_for('odd', torch.float64), 1e-10)


def test_dropped_weights_above_zero_are_missed():
    """Then it is not exact: nearer than leaving the decoder as it was initialised, that is all."""
    head = make_head('FDNHead', 'odd', torch.float64).eval()
    set_weights(head, {('E1', 'D1'), ('G', 'D1'), ('D2', 'D1'), ('E3', 'D2')})
    with torch.no_grad():
        head.connections.raw['D1'][list(head.stages['D1']).index('E2')] = 0.05
    connectivity = prune(head.connection_weights(), head.connectivity.strides, 0.1)
    assert ('E2', 'D1') not in connectivity
    features = features_for('odd', torch.float64)
    with torch.no_grad():
        inherited = relative(pruned_head(head, connectivity)(features), head(features))
    assert 1e-4 < inherited < 0.2


def test_merged_stages():
    """Stages with equal inputs become one: allowed, and not exact."""
    head = make_head('FDNHead', 'odd', torch.float64).eval()
    live = {('E4', 'D4'), ('E4', 'D3'), ('D4', 'D1'), ('D3', 'D2'), ('E2', 'D2'), ('D2', 'D1')}
    set_weights(head, live)
    weights = head.connection_weights()
    merged = prune(weights, head.connectivity.strides, merge=True)
    assert dict(merged.stages) == {'D4': ('E4',), 'D2': ('E2', 'D4'), 'D1': ('D2', 'D4')}
    state = inherited_state(head, merged)
    assert not state['convs.D2.D4'].any() and state['convs.D1.D4'].any()
    assert keep_above(weights) == live


def test_a_connection_that_the_search_space_lacks_starts_at_zero():
    strides, channels, _ = CASES['odd']
    space = Connectivity(strides, {'D2': ['E2'], 'D1': ['E1', 'D2']})
    head = make_head('FDNHead', 'odd', torch.float64, connectivity=space)
    wider = Connectivity(strides, {'D2': ['E2', 'E3'], 'D1': ['E1', 'D2']})
    assert not inherited_state(head, wider)['convs.D2.E3'].any()


def test_other_strides():
    head = make_head('FDNHead', 'odd', torch.float32)
    with pytest.raises(ValueError, match=r'strides of the supernet \[2, 4, 8, 16\], got \[2, 4\]'):
        inherited_state(head, Connectivity((2, 4), {'D1': ['E1']}))
