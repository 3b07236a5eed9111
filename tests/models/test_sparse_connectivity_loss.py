"""Equation 2 of SparseMask by hand, its gradient at the bounds, and its precision."""

import math

import pytest
import torch
from mmseg.registry import MODELS
from scipy import optimize

from mmseg_sparsemask.models.losses.sparse_connectivity_loss import (
    SparseConnectivityLoss,
    cross_entropy,
)

LOG2 = math.log(2)


def loss_of(weights, **kwargs):
    loss = MODELS.build(dict(type='SparseConnectivityLoss', **{'loss_weight': 1.0, **kwargs}))
    return loss({stage: torch.as_tensor(w, dtype=torch.float64) for stage, w in weights.items()})


def by_hand(weights, expected=2.0, max_share=0.5):
    """Equation 2 with Python's own numbers."""

    def h(p, q):
        first = -p * math.log(q) if p else 0.0
        second = -(1 - p) * math.log(1 - q) if p != 1 else 0.0
        return first + second

    total = 0.0
    for w in weights.values():
        alpha = min(expected / len(w), max_share)
        total += sum(h(x, x) for x in w) / len(w) + h(alpha, sum(w) / len(w))
    return total


def test_cross_entropy():
    q = torch.tensor([0.5, 0.25])
    assert cross_entropy(0.5, q).tolist() == pytest.approx([LOG2, -0.5 * math.log(0.1875)])


def test_at_the_start():
    """Every weight 1/2: H(1/2, 1/2) = log 2 twice, whatever alpha is."""
    for count in (2, 4, 18):
        assert loss_of({'D1': [0.5] * count}).item() == pytest.approx(2 * LOG2)


def test_hand_computed():
    # Four weights, alpha = 1/2. mean(H(w, w)) = H(0.25, 0.25); mean = 0.25.
    value = loss_of({'D3': [0.25] * 4}).item()
    entropy = -0.25 * math.log(0.25) - 0.75 * math.log(0.75)
    cross = -0.5 * math.log(0.25) - 0.5 * math.log(0.75)
    assert value == pytest.approx(entropy + cross, abs=1e-12)
    assert value == pytest.approx(1.399323, abs=1e-6)
    # Eight weights, alpha = 1/4, all at their bounds: no entropy, mean = 1/4.
    value = loss_of({'D5': [1.0, 1.0] + [0.0] * 6}).item()
    assert value == pytest.approx(entropy, abs=2e-4)


def test_sum_over_stages_times_lambda():
    weights = {
        'D3': [0.1, 0.9],
        'D2': [0.3, 0.2, 0.8, 0.6],
        'D1': [0.05, 0.5, 0.95, 0.4, 0.35, 0.7],
    }
    assert loss_of(weights).item() == pytest.approx(by_hand(weights), abs=1e-12)
    assert loss_of(weights, loss_weight=0.01).item() == pytest.approx(0.01 * by_hand(weights))
    parts = sum(loss_of({stage: w}).item() for stage, w in weights.items())
    assert loss_of(weights).item() == pytest.approx(parts)
    other = dict(expected=3.0, max_share=0.4)
    assert loss_of(weights, **other).item() == pytest.approx(by_hand(weights, **other))


def test_default_lambda_is_the_papers():
    assert SparseConnectivityLoss().loss_weight == 0.01


@pytest.mark.parametrize(
    ('count', 'alpha'), [(2, 0.5), (4, 0.5), (6, 1 / 3), (8, 0.25), (16, 0.125), (18, 1 / 9)]
)
def test_alpha_of_each_stage(count, alpha):
    """Among binary weights, the best mean is alpha: min(2 / n, 1/2) (found by minimising)."""

    def second_term(mean):
        w = torch.full((count,), float(mean), dtype=torch.float64)
        return (loss_of({'D': w}) - cross_entropy(w, w).mean()).item()

    best = optimize.minimize_scalar(second_term, bounds=(0.01, 0.99), method='bounded').x
    assert best == pytest.approx(alpha, abs=1e-4)


def test_lowest_where_two_weights_are_one():
    """Of all binary choices for a stage of six, those with two inputs cost least."""
    costs = [loss_of({'D1': [1.0] * k + [0.0] * (6 - k)}).item() for k in range(7)]
    assert costs.index(min(costs)) == 2
    assert min(costs) < loss_of({'D1': [1 / 3] * 6}).item()


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('bound', [0.0, 1.0])
def test_gradient_at_the_bounds(bound, dtype):
    """Finite and outward: a weight at 0 is pushed to stay at 0, one at 1 to stay at 1."""
    w = torch.full((6,), 0.5, dtype=dtype)
    w[0] = bound
    w.requires_grad_()
    value = SparseConnectivityLoss(1.0)({'D1': w})
    value.backward()
    assert torch.isfinite(value) and torch.isfinite(w.grad).all()
    # Gradient descent subtracts it: positive at 0 keeps it there.
    assert w.grad[0] > 0 if bound == 0 else w.grad[0] < 0
    # The entropy's slope at the distance eps: log((1 - eps) / eps) / 6; the mean's part is small.
    slope = math.log((1 - 1e-6) / 1e-6) / 6
    assert abs(w.grad[0].item()) == pytest.approx(slope, rel=0.2)


@pytest.mark.parametrize('bound', [0.0, 1.0])
def test_whole_stage_at_a_bound(bound):
    w = torch.full((6,), bound, requires_grad=True)
    value = SparseConnectivityLoss(1.0)({'D1': w})
    value.backward()
    assert torch.isfinite(value) and torch.isfinite(w.grad).all()
    # The mean is far from alpha; that outweighs the entropy and pulls the stage back.
    assert (w.grad < 0).all() if bound == 0 else (w.grad > 0).all()


def test_gradient_inside():
    w = torch.tensor([0.1, 0.4, 0.7, 0.9, 0.2, 0.6], dtype=torch.float64, requires_grad=True)
    loss = SparseConnectivityLoss(1.0)
    assert torch.autograd.gradcheck(lambda x: loss({'D1': x}), (w,))


def test_follows_the_weights_to_the_bounds():
    """Gradient descent with projection ends with two of six inputs at 1 and the rest at 0."""
    w = torch.tensor([0.62, 0.55, 0.45, 0.4, 0.35, 0.3], dtype=torch.float64)
    loss = SparseConnectivityLoss(1.0)
    for _ in range(3000):
        w = w.detach().clamp(0, 1).requires_grad_()
        (slope,) = torch.autograd.grad(loss({'D1': w}), w)
        w = w - 0.01 * slope
    assert w.detach().clamp(0, 1).round(decimals=3).tolist() == [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize('given', [torch.bfloat16, torch.float16, torch.float32])
def test_float32_at_least(given):
    w = torch.tensor([0.125, 0.5, 0.75], dtype=given)
    value = SparseConnectivityLoss(1.0)({'D1': w})
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(by_hand({'D1': [0.125, 0.5, 0.75]}), rel=1e-6)


def test_float32_under_autocast():
    w = torch.tensor([1e-3, 0.5, 0.999], requires_grad=True)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        value = SparseConnectivityLoss(1.0)({'D1': w})
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(by_hand({'D1': [1e-3, 0.5, 0.999]}), rel=1e-5)
    value.backward()
    assert w.grad.dtype == torch.float32


@pytest.mark.parametrize(
    ('kwargs', 'words'),
    [
        (dict(loss_weight=-1.0), 'loss_weight: expected a number of at least 0, got -1'),
        (dict(loss_weight=float('nan')), 'loss_weight: .* got nan'),
        (dict(expected=0.0), 'expected: expected a positive number of inputs, got 0'),
        (dict(max_share=1.0), r'max_share: expected a number in \(0, 1\), got 1'),
        (dict(max_share=0.0), r'max_share: expected a number in \(0, 1\), got 0'),
        (dict(eps=0.0), r'eps: expected a number in \(0, 0\.5\), got 0'),
        (dict(eps=0.5), r'eps: expected a number in \(0, 0\.5\), got 0\.5'),
    ],
)
def test_bad_arguments(kwargs, words):
    with pytest.raises(ValueError, match=words):
        SparseConnectivityLoss(**kwargs)
