"""The controller that drives the multiplier of a constraint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class ControllerState(NamedTuple):
    """What a `NuPI` keeps from one step to the next.

    Attributes:
        multiplier: Lambda, at least 0.
        smoothed: Xi, the moving average of the error.
    """

    multiplier: float = 0.0
    smoothed: float = 0.0


@dataclass(frozen=True)
class NuPI:
    """nuPI (Sohrabi et al., ICML 2024, arXiv 2406.04558, Algorithm 1), a pure function.

    ``xi_t = nu xi_(t-1) + (1 - nu) e_t`` and
    ``lambda <- max(0, lambda + eta (K_I e_t + K_P (xi_t - xi_(t-1))))``. A constraint that is
    violated (e > 0) raises the multiplier, one that is kept lowers it; the proportional term takes
    back early what the integral would overshoot. ``(K_P, K_I, nu) = (0, 1, 0)`` is plain gradient
    ascent.

    Args:
        eta: Step size.
        proportional: K_P.
        integral: K_I.
        nu: Share of the past in the average of the error, in [0, 1).

    Raises:
        ValueError: An argument out of its range.
    """

    eta: float = 0.1
    proportional: float = 0.0
    integral: float = 1.0
    nu: float = 0.0

    def __post_init__(self) -> None:
        # Larger ones would take the loss to infinity.
        if not 0 < self.eta <= 1e6:
            raise ValueError(f'eta: expected a positive step size up to 1e6, got {self.eta}')
        if not 0 <= self.proportional <= 1e6:
            raise ValueError(f'proportional: expected 0 to 1e6, got {self.proportional}')
        if not 0 < self.integral <= 1e6:
            raise ValueError(f'integral: expected a positive number up to 1e6, got {self.integral}')
        if not 0 <= self.nu < 1:
            raise ValueError(f'nu: expected a number in [0, 1), got {self.nu}')

    def step(self, state: ControllerState, error: float) -> ControllerState:
        """The state after one more error; it works on numbers as on tensors of one element.

        Args:
            state: The state before.
            error: Violation of the constraint: above 0 when it is violated.
        """
        smoothed = self.nu * state.smoothed + (1 - self.nu) * error
        change = self.integral * error + self.proportional * (smoothed - state.smoothed)
        multiplier = state.multiplier + self.eta * change
        return ControllerState(multiplier * (multiplier > 0), smoothed)
