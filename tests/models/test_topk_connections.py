import itertools
import math

import pytest
import torch
from mmseg.registry import MODELS
from scipy import stats

import mmseg_sparsemask  # noqa: F401
from mmseg_sparsemask.connectivity import Connectivity, preset, prune
from mmseg_sparsemask.models.connections import TopKConnections, topk_connections

FOUR = Connectivity([2, 4], {'D2': ['E2', 'G'], 'D1': ['E1', 'E2', 'D2', 'G']})


def build(k, weights=None, connectivity=FOUR, seed=0):
    module = TopKConnections(connectivity, k=k, seed=seed)
    if weights is not None:
        module.raw['D1'].data = torch.tensor(weights)
    return module


def sequential_probability(weights, ordered):
    """Probability of drawing these one after the other without replacement."""
    left, probability = sum(weights), 1.0
    for place in ordered:
        probability *= weights[place] / left
        left -= weights[place]
    return probability


@pytest.mark.parametrize('k', [1, 2, 3])
def test_draws_have_the_stated_probabilities(k):
    weights = [0.1, 0.2, 0.9, 0.4]
    module = build(k, weights, seed=7).train()
    draws = 4000
    counts = dict.fromkeys(itertools.combinations(range(4), k), 0)
    with torch.no_grad():
        for _ in range(draws):
            drawn = module()['D1']
            counts[tuple(drawn.nonzero().flatten().tolist())] += 1
    expected = [
        draws * sum(sequential_probability(weights, p) for p in itertools.permutations(subset))
        for subset in counts
    ]
    assert math.isclose(sum(expected), draws)
    assert stats.chisquare(list(counts.values()), expected).pvalue > 0.01


@pytest.mark.parametrize('k', [1, 2, 3, 4, 9])
@pytest.mark.parametrize(
    'weights', [[0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [1e-20, 0.0, 1.0, 1e-3], [1.0] * 4]
)
def test_always_exactly_k(k, weights):
    module = build(k, weights).train()
    for _ in range(50):
        drawn = module()
        assert set(drawn['D1'].tolist()) <= {0.0, 1.0}
        assert int(drawn['D1'].sum()) == min(k, 4) and int(drawn['D2'].sum()) == min(k, 2)
        # Zeros are drawn only when nothing else is left.
        positive = torch.tensor(weights) > 0
        assert int(drawn['D1'][positive].sum()) == min(k, int(positive.sum()))
    for final in (module.weights(), module.eval()()):
        assert int(final['D1'].sum()) == min(k, 4)


def test_zeros_among_themselves_are_equally_likely():
    module = build(2, [0.0, 1.0, 0.0, 0.0]).train()
    with torch.no_grad():
        counts = sum(module()['D1'] for _ in range(1500))
    assert counts[1] == 1500
    assert stats.chisquare(counts[[0, 2, 3]].tolist(), [500] * 3).pvalue > 0.01


def test_gradient_rule_by_hand():
    module = build(2, [0.1, 0.2, 0.9, 0.4]).train()
    coefficients = torch.tensor([1.0, -2.0, 0.5, 4.0])
    (module()['D1'] * coefficients).sum().backward()
    # The gradient with respect to the binary value, drawn or not, reaches the real weight.
    assert torch.equal(module.raw['D1'].grad, coefficients)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.2)
    optimizer.step()
    torch.testing.assert_close(module.raw['D1'].data, torch.tensor([-0.1, 0.6, 0.8, -0.4]))
    module()
    torch.testing.assert_close(module.raw['D1'].data, torch.tensor([0.0, 0.6, 0.8, 0.0]))


def test_the_k_largest_stay():
    module = build(2, [0.1, 0.2, 0.9, 0.4])
    assert module.weights()['D1'].tolist() == [0, 0, 1, 1]
    assert module.eval()()['D1'].tolist() == [0, 0, 1, 1]
    assert build(2).weights()['D1'].tolist() == [1, 1, 0, 0]  # ties


def test_draws_depend_on_seed_and_step_only():
    def draws(seed, skip=0):
        torch.manual_seed(torch.randint(1000, ()).item())
        module = build(2, seed=seed).train()
        module.step += skip
        return [module()['D1'].tolist() for _ in range(20)]

    first = draws(1)
    assert draws(1) == first and draws(2) != first
    assert draws(1, skip=5)[:15] == first[5:]
    module = build(2, seed=1).train()
    assert module.step == 0 and module() and module.step == 1
    assert module.eval()() and module.step == 1
    assert 'step' in module.state_dict()


def test_more_inputs_than_there_are_is_logged_once(monkeypatch):
    lines = []
    monkeypatch.setattr(topk_connections, 'print_log', lambda text, logger: lines.append(text))
    module = build(3).train()
    module()
    module.eval()()
    assert len(lines) == 1 and 'fewer than k=3 sources are allowed for D2;' in lines[0]
    build(2)
    assert len(lines) == 1


@pytest.mark.parametrize('k', [0, -1, 1.5, True, None, '2'])
def test_bad_k(k):
    with pytest.raises(ValueError, match='k: expected a whole number of inputs of at least 1'):
        build(k)


def test_a_weight_that_is_no_number_is_not_hidden():
    module = build(1, [0.1, float('nan'), 0.3, 0.4])
    values = module.weights()['D1'].tolist()
    weights = dict(zip([c for c in FOUR if c.stage == 'D1'], values))
    with pytest.raises(ValueError, match='the search diverged'):
        prune(weights, FOUR.strides)


def test_in_the_supernet():
    strides, channels = (2, 4, 8), (5, 6, 7)
    config = dict(
        type='FDNHead',
        in_channels=channels,
        in_index=[0, 1, 2],
        strides=strides,
        channels=4,
        num_classes=3,
        connections=dict(type='TopKConnections', k=2),
    )
    torch.manual_seed(0)
    head = MODELS.build(config).train()
    features = [torch.randn(2, c, 32 // s, 32 // s) for s, c in zip(strides, channels)]
    head(features).square().mean().backward()
    grads = [raw.grad for raw in head.connections.raw.values()]
    assert all(grad is not None for grad in grads) and sum(g.abs().sum() for g in grads) > 0
    weights = head.connection_weights()
    assert sum(weights.values()) == 2 + 2 + 2
    found = prune(weights, strides)
    assert all(len(sources) == 2 for sources in found.stages.values())
    assert len(preset('fdn', strides)) == len(weights) == 12


def test_compiles_to_one_graph():
    module = build(2, seed=3).train()
    compiled = torch.compile(build(2, seed=3).train(), backend='eager', fullgraph=True)
    for _ in range(3):
        assert compiled()['D1'].tolist() == module()['D1'].tolist()
