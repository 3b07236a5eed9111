"""The connection weights of SparseMask: range, projection, and noise that a resumed run repeats."""

import copy
import math

import numpy as np
import pytest
import torch
from mmseg.registry import MODELS
from scipy import stats

from mmseg_sparsemask.connectivity import preset
from mmseg_sparsemask.models.connections.counter_noise import counter_noise
from mmseg_sparsemask.models.connections.relaxed_connections import (
    RelaxedConnections,
    clamp_inclusive,
)
from mmseg_sparsemask.models.run_state import take_up_state

CONNECTIVITY = preset('fdn', (2, 4, 8))
COUNTS = {'D3': 2, 'D2': 4, 'D1': 6}


def make(**kwargs):
    return RelaxedConnections(CONNECTIVITY, **kwargs)


def flat(weights):
    return torch.cat([w.detach() for w in weights.values()])


def test_one_weight_a_connection_starting_in_the_middle():
    relaxed = MODELS.build(dict(type='RelaxedConnections', connectivity=CONNECTIVITY))
    assert {stage: len(raw) for stage, raw in relaxed.raw.items()} == COUNTS
    assert list(relaxed.raw) == ['D1', 'D2', 'D3']
    assert (flat(relaxed.raw) == 1.0).all()
    assert (flat(relaxed.weights()) == 0.5).all()


def test_order_of_stages_is_by_level():
    """Optimiser states and noise go by it, so it must not depend on torch's sorting."""
    relaxed = RelaxedConnections(preset('unet', (2,) * 12))
    assert list(relaxed.raw) == [f'D{n}' for n in range(1, 13)]
    assert [len(raw) for raw in relaxed.raw.values()] == [2] * 11 + [1]


@pytest.mark.parametrize('high', [1.0, 2.0])
def test_projected_before_use_in_training(high):
    """An optimiser may step out of the range; the next pass brings the raw weights back."""
    relaxed = make(max_weight=high, noise_std=0.0)
    with torch.no_grad():
        relaxed.raw['D3'].copy_(torch.tensor([-0.7, high + 0.7]))
    drawn = relaxed()
    assert drawn['D3'].tolist() == [0.0, high]
    assert relaxed.raw['D3'].tolist() == [0.0, high]


def test_evaluation_changes_nothing():
    relaxed = make().eval()
    with torch.no_grad():
        relaxed.raw['D3'].copy_(torch.tensor([-0.7, 2.7]))
    before = copy.deepcopy(relaxed.state_dict())
    first, second = relaxed(), relaxed()
    assert first['D3'].tolist() == [0.0, 2.0]
    assert torch.equal(flat(first), flat(second))
    assert all(torch.equal(value, before[key]) for key, value in relaxed.state_dict().items())


def test_weights_are_in_zero_to_one_and_without_noise():
    relaxed = make(noise_std=0.5)
    with torch.no_grad():
        relaxed.raw['D2'].copy_(torch.tensor([-1.0, 0.5, 2.0, 9.0]))
    assert relaxed.weights()['D2'].tolist() == [0.0, 0.25, 1.0, 1.0]
    assert torch.equal(flat(relaxed.weights()), flat(relaxed.weights()))


@pytest.mark.parametrize('at', [0.0, 2.0])
def test_drawn_weights_stay_in_range(at):
    relaxed = make(noise_std=1.0)
    with torch.no_grad():
        for raw in relaxed.raw.values():
            raw.fill_(at)
    drawn = torch.cat([flat(relaxed()) for _ in range(20)])
    assert drawn.min() >= 0 and drawn.max() <= 2
    # Noise pushes about half of them off the bound, the other half against it.
    assert 0.3 < (drawn == at).float().mean() < 0.7


def test_gradient_inside_and_on_the_bounds():
    value = torch.tensor([-0.5, 0.0, 0.5, 2.0, 2.5], requires_grad=True)
    out = clamp_inclusive(value, 2.0)
    assert out.tolist() == [0.0, 0.0, 0.5, 2.0, 2.0]
    out.sum().backward()
    assert value.grad.tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]


def test_every_weight_has_a_gradient_even_if_all_are_dropped():
    relaxed = make(noise_std=0.0)
    with torch.no_grad():
        for raw in relaxed.raw.values():
            raw.zero_()
    (sum(w.sum() for w in relaxed().values())).backward()
    assert all((raw.grad == 1).all() for raw in relaxed.raw.values())


def test_noise_is_what_the_forward_pass_adds():
    relaxed = make(noise_std=0.1, seed=3)
    drawn = flat(relaxed())
    noise = counter_noise(12, 3, torch.tensor(0))
    assert torch.allclose(drawn, 1 + 0.1 * noise)
    assert torch.allclose(flat(relaxed()), 1 + 0.1 * counter_noise(12, 3, torch.tensor(1)))


def test_noise_off():
    relaxed = make(noise_std=0.0)
    assert (flat(relaxed()) == 1.0).all()
    assert relaxed.step == 1


def test_noise_depends_on_seed_and_step_only():
    torch.manual_seed(0)
    first = flat(make(seed=5)())
    state = torch.get_rng_state()
    torch.manual_seed(99)
    np.random.seed(99)
    torch.rand(17)
    second = flat(make(seed=5)())
    assert torch.equal(first, second)
    assert not torch.equal(first, flat(make(seed=6)()))
    # Nor does it use up anybody else's random numbers.
    torch.set_rng_state(state)
    make(seed=5)()
    assert torch.equal(torch.get_rng_state(), state)


def hash32(value):
    for _ in range(2):
        value = ((value ^ (value >> 16)) * 0x45D9F3B) % 2**32
    return value ^ (value >> 16)


def test_noise_by_python_integers():
    """The same hash and the Box-Muller transform without torch: nothing of a process is in it."""
    for seed, step in ((0, 0), (7, 123), (3, 10**6)):
        uniform = [
            (hash32((hash32((hash32(i) + step) % 2**32) + seed) % 2**32) + 0.5) / 2**32
            for i in range(180)
        ]
        expected = [
            math.sqrt(-2 * math.log(u)) * math.cos(2 * math.pi * v)
            for u, v in zip(uniform[:90], uniform[90:])
        ]
        noise = counter_noise(90, seed, torch.tensor(step))
        assert noise.tolist() == pytest.approx(expected, abs=1e-5)


def draws(count, steps, seed=0):
    """(steps, count)."""
    return torch.stack([counter_noise(count, seed, torch.tensor(s)) for s in range(steps)]).numpy()


def test_noise_is_standard_normal():
    """Kolmogorov and Smirnov over connections of a step, over steps of a connection, over seeds.

    The numbers are fixed by seed and step, so this test cannot fail by chance.
    """
    noise = draws(90, 2000)
    assert np.isfinite(noise).all()
    assert stats.kstest(noise.ravel(), 'norm').pvalue > 0.01
    assert abs(noise.mean()) < 0.01 and abs(noise.std() - 1) < 0.01
    assert stats.kstest(noise[:, 0], 'norm').pvalue > 0.01
    by_seed = np.concatenate([counter_noise(90, s, torch.tensor(0)).numpy() for s in range(500)])
    assert stats.kstest(by_seed, 'norm').pvalue > 0.01
    # p values over connections are uniform themselves.
    values = [stats.kstest(column, 'norm').pvalue for column in noise.T]
    assert stats.kstest(values, 'uniform').pvalue > 0.01


def test_noise_is_uncorrelated():
    """Between connections, between neighbouring steps, between seeds."""
    noise = draws(90, 2000)
    bound = 5 / np.sqrt(2000)
    between = np.corrcoef(noise.T)[~np.eye(90, dtype=bool)]
    assert np.abs(between).max() < bound
    assert np.abs((noise[1:] * noise[:-1]).mean(0)).max() < bound
    other = draws(90, 2000, seed=1)
    assert np.abs((noise * other).mean(0)).max() < bound
    # Step s of seed k is not step s+1 of seed k-1.
    assert np.abs((noise[1:] * other[:-1]).mean(0)).max() < bound
    assert np.abs((noise[:-1] * other[1:]).mean(0)).max() < bound


@pytest.mark.parametrize('seed', [-1, 0, 2**31, 2**32 - 1, 2**40])
@pytest.mark.parametrize('step', [0, 2**31, 2**40])
def test_any_seed_and_step(seed, step):
    noise = counter_noise(1000, seed, torch.tensor(step))
    assert noise.dtype == torch.float32 and torch.isfinite(noise).all()
    assert stats.kstest(noise.numpy(), 'norm').pvalue > 1e-4


def test_saved_state_continues_the_sequence():
    straight = make(seed=1)
    sequence = [flat(straight()) for _ in range(6)]
    half = make(seed=1)
    for _ in range(3):
        half()
    resumed = make(seed=1)
    resumed.load_state_dict(half.state_dict())
    take_up_state(resumed)
    assert resumed.step == 3
    for expected in sequence[3:]:
        assert torch.equal(flat(resumed()), expected)


def test_a_validation_in_between_does_not_shift_the_sequence():
    straight, interrupted = make(), make()
    straight()
    interrupted()
    interrupted.eval()
    interrupted()
    interrupted.train()
    assert torch.equal(flat(straight()), flat(interrupted()))


def test_noise_in_double_precision():
    relaxed = make().double()
    assert flat(relaxed()).dtype == torch.float64


@pytest.mark.parametrize(
    ('kwargs', 'words'),
    [
        (dict(max_weight=0.0), 'max_weight: expected a positive number, got 0'),
        (dict(max_weight=float('nan')), 'max_weight: expected a positive number, got nan'),
        (dict(noise_std=-0.1), 'noise_std: expected a number of at least 0, got -0.1'),
        (dict(noise_std=float('nan')), 'noise_std: expected a number of at least 0, got nan'),
    ],
)
def test_bad_arguments(kwargs, words):
    with pytest.raises(ValueError, match=words):
        make(**kwargs)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
def test_noise_on_a_gpu_is_the_cpus():
    on_cpu = counter_noise(90, 0, torch.tensor(5))
    on_gpu = counter_noise(90, 0, torch.tensor(5, device='cuda')).cpu()
    assert torch.allclose(on_cpu, on_gpu, atol=1e-5)
