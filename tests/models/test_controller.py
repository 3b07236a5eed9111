"""nuPI and the ramp, against steps worked out by hand."""

import pytest
import torch

from mmseg_sparsemask.models.losses.controller import ControllerState, NuPI
from mmseg_sparsemask.models.losses.ramp import check_ramp, ramp_factor


def run(controller, errors):
    state, multipliers = ControllerState(), []
    for error in errors:
        state = controller.step(state, error)
        multipliers.append(state.multiplier)
    return multipliers


def test_plain_ascent_by_hand():
    """(K_P, K_I, nu) = (0, 1, 0): lambda is eta times the sum of the errors, never below 0."""
    found = run(NuPI(eta=0.5), [2.0, 1.0, -4.0, 0.5])
    assert found == [1.0, 1.5, 0.0, 0.25]


def test_three_terms_by_hand():
    controller = NuPI(eta=0.1, proportional=2.0, integral=3.0, nu=0.5)
    first = controller.step(ControllerState(), 4.0)
    # xi = 0.5 * 0 + 0.5 * 4 = 2; lambda = 0.1 (3 * 4 + 2 * 2) = 1.6
    assert first == pytest.approx((1.6, 2.0))
    second = controller.step(first, 1.0)
    # xi = 0.5 * 2 + 0.5 * 1 = 1.5; lambda = 1.6 + 0.1 (3 * 1 + 2 * (1.5 - 2)) = 1.8
    assert second == pytest.approx((1.8, 1.5))
    third = controller.step(second, -6.0)
    # xi = 0.5 * 1.5 + 0.5 * -6 = -2.25; lambda = 1.8 + 0.1 (3 * -6 + 2 * (-2.25 - 1.5)) < 0
    assert third == pytest.approx((0.0, -2.25))


def test_tensors_give_the_same():
    controller = NuPI(eta=0.1, proportional=2.0, nu=0.9)
    state, tensors = ControllerState(), ControllerState(*torch.zeros(2, dtype=torch.float64))
    for error in (3.0, 1.0, -0.5, -9.0, 2.0):
        state = controller.step(state, error)
        tensors = controller.step(tensors, torch.tensor(error, dtype=torch.float64))
        assert tuple(map(float, tensors)) == state


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (dict(eta=0.0), 'eta: expected a positive step size up to 1e6, got 0.0'),
        (dict(proportional=-1.0), 'proportional: expected 0 to 1e6, got -1.0'),
        (dict(proportional=float('inf')), 'proportional: expected 0 to 1e6, got inf'),
        (dict(integral=0.0), 'integral: expected a positive number up to 1e6, got 0.0'),
        (dict(nu=1.0), r'nu: expected a number in \[0, 1\), got 1.0'),
        (dict(eta=float('nan')), 'eta: expected a positive step size up to 1e6, got nan'),
        (dict(eta=1e38), r'eta: expected .*, got 1e\+38'),
        (dict(integral=float('inf')), 'integral: expected .*, got inf'),
    ],
)
def test_bad_controllers(arguments, words):
    with pytest.raises(ValueError, match=words):
        NuPI(**arguments)


def test_ramp_by_hand():
    steps = (0, 10, 15, 20, 25, 30, 99)
    assert [ramp_factor(step, (10, 30)) for step in steps] == [0, 0, 0.25, 0.5, 0.75, 1, 1]
    # A step, where both ends are one iteration.
    assert [ramp_factor(step, (10, 10)) for step in (0, 9, 10, 11)] == [0, 0, 1, 1]
    assert [ramp_factor(step, (0, 0)) for step in (0, 1)] == [1, 1]
    assert ramp_factor(5, (5, 5)) == 1
    assert check_ramp([3, 4]) == (3, 4)


@pytest.mark.parametrize('ramp', [(5,), (5, 4), (-1, 4), (0.5, 4), 'ab', 7, (True, 4)])
def test_bad_ramps(ramp):
    with pytest.raises(ValueError, match='ramp: expected two iterations'):
        check_ramp(ramp)
