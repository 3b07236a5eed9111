"""SampledConnections: what is drawn, and that a pass equals the equations of what takes part."""

import copy

import pytest
import torch
from reference.heads import CASES, features_of, make_head, relative
from reference.naive import connection_statistics, naive_copy

from mmseg_sparsemask.connectivity import preset
from mmseg_sparsemask.connectivity.presets import MBV2_STRIDES
from mmseg_sparsemask.models.connections import SampledConnections

FULL = preset('fdn', MBV2_STRIDES)


def draws(passes, **settings):
    rule, found = SampledConnections(FULL, **settings), []
    for _ in range(passes):
        found.append(rule.subset())
        rule()
    return found


def test_what_is_drawn():
    found = draws(400, full_every=4)
    assert all((subset is None) == (place % 4 == 0) for place, subset in enumerate(found))
    parts = [subset for subset in found if subset is not None]
    # Strides up to 8: D1 to D4. Parts are of all sizes, and no two in a row alike.
    assert {subset.end for subset in parts} == {'D1', 'D2', 'D3', 'D4'}
    sizes = [len(subset) for subset in parts]
    assert min(sizes) <= 3 and max(sizes) >= 60
    assert len(set(parts)) > 0.9 * len(parts)
    assert {subset.end for subset in draws(60, end_stride=1) if subset} == {'D1'}


def test_draws_depend_on_seed_and_pass_alone():
    assert draws(30, seed=3) == draws(30, seed=3) != draws(30, seed=4)
    rule = SampledConnections(FULL, seed=3)
    rule.step.fill_(29)
    torch.manual_seed(8)
    assert rule.subset() == draws(30, seed=3)[-1]


@pytest.mark.parametrize(('name', 'value'), [('full_every', 0), ('end_stride', 2.0)])
def test_bad_settings(name, value):
    with pytest.raises(ValueError, match=f'{name}: expected a whole number of at least 1'):
        SampledConnections(FULL, **{name: value})


def sampled_head(case):
    return make_head('FDNHead', case, torch.float64, connections=dict(type='SampledConnections'))


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('case', ['mbv2-like', 'odd', 'non-monotone', 'ends-coarse'])
def test_a_part_equals_its_equations(case, training):
    """Logits, gradients and statistics of what takes part; nothing of the rest."""
    head = sampled_head(case).train(training)
    sizes = set()
    for step in range(1, 12):
        head.connections.step.fill_(step)
        subset = head.connections.subset()
        if subset is None:
            continue
        before = copy.deepcopy(head.state_dict())
        naive = naive_copy(head)
        naive.stages = {stage: list(sources) for stage, sources in subset.stages.items()}
        weights = {s: torch.ones(len(n), dtype=torch.float64) for s, n in naive.stages.items()}
        features = features_of(*CASES[case], 3, torch.float64)
        with head.cut_to(subset if not training else head.connectivity):
            ours = head(features)
        theirs = naive([f.detach() for f in features], weights)
        sizes.add(ours.shape[-2:])
        assert ours.shape == theirs.shape and relative(ours, theirs) < 1e-10
        head.zero_grad()
        target = torch.randn_like(theirs)
        (ours * target).sum().backward()
        (theirs * target).sum().backward()
        for stage, sources in head.connectivity.stages.items():
            for source in sources:
                mine = head.convs[stage][source].grad
                if source not in subset.stages.get(stage, ()):
                    assert mine is None
                    continue
                other = naive.convs[f'{source}_{stage}']
                assert relative(mine, other.weight.grad) < 1e-10
                norm = naive.bns[f'{source}_{stage}']
                mean, variance = connection_statistics(head, source, stage)
                assert relative(mean, norm.running_mean) < 1e-10
                assert relative(variance, norm.running_var) < 1e-10
        left_out = [
            (source, stage)
            for stage, sources in head.connectivity.stages.items()
            for source in sources
            if source not in subset.stages.get(stage, ())
        ]
        kept = copy.deepcopy(head)
        kept.load_state_dict(before)
        for source, stage in left_out:
            for now, then in zip(
                connection_statistics(head, source, stage),
                connection_statistics(kept, source, stage),
            ):
                assert torch.equal(now, then)
    assert len(sizes) > 1 or case == 'ends-coarse'


def test_in_evaluation_everything_is_there():
    head = sampled_head('odd').eval()
    features = features_of(*CASES['odd'], 2, torch.float64)
    weights = {stage: raw.detach() for stage, raw in head.connections.weights().items()}
    assert relative(head(features), naive_copy(head)(features, weights)) < 1e-10
    assert set(head.connection_weights().values()) == {1.0}
