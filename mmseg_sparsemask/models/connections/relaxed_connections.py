"""Connection weights relaxed to [0, 1] (SparseMask)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_sparsemask.connectivity import Connectivity
from mmseg_sparsemask.models.connections.connection_rule import ConnectionRule, finite_or_nan


def clamp_inclusive(value: Tensor, high: float) -> Tensor:
    """Clamp to [0, high] with gradient inside and on the bounds.

    A weight that was projected to 0 must be able to grow again; versions of torch differ in the
    gradient of `clamp` on a bound. What is infinite becomes NaN.
    """
    inside = (value >= 0) & (value <= high)
    return torch.where(inside, value, finite_or_nan(value.detach()).clamp(0, high))


@MODELS.register_module()
class RelaxedConnections(ConnectionRule):
    """A real weight for each connection (SparseMask, Section 3.2).

    Raw weights live in [0, max_weight] and start at half of that. The forward pass scales a
    connection by its raw weight plus noise, clamped to the range; loss and pruning see
    ``raw / max_weight`` in [0, 1].

    Args:
        connectivity: The search space.
        max_weight: Upper end of the raw weights. 2.0 is the published implementation's, 1.0 the
            paper's text.
        noise_std: Standard deviation of the noise on the raw weights in training. 0.1 is the
            published implementation's, 0.0 the paper's text.
        seed: Seed of the noise.

    Raises:
        ValueError: max_weight not positive, noise_std negative.
    """

    def __init__(
        self,
        connectivity: Connectivity,
        max_weight: float = 2.0,
        noise_std: float = 0.1,
        seed: int = 0,
    ) -> None:
        if not max_weight > 0:
            raise ValueError(f'max_weight: expected a positive number, got {max_weight}')
        if not noise_std >= 0:
            raise ValueError(f'noise_std: expected a number of at least 0, got {noise_std}')
        super().__init__(connectivity, max_weight / 2, max_weight, seed)
        self.noise_std = noise_std

    def weights_in_pass(self, noise: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
        """Raw weights plus noise, in [0, max_weight]."""
        drawn = dict(self.raw.items())
        if noise is not None and self.noise_std:
            drawn = {
                stage: raw + (noise[stage] * self.noise_std).to(raw.dtype)
                for stage, raw in drawn.items()
            }
        return {stage: clamp_inclusive(raw, self.max_weight) for stage, raw in drawn.items()}

    def weights(self) -> dict[str, Tensor]:
        """Raw weights over `max_weight`."""
        return {
            stage: clamp_inclusive(raw, self.max_weight) / self.max_weight
            for stage, raw in self.raw.items()
        }

    def extra_repr(self) -> str:
        """Arguments, for printing."""
        return f'max_weight={self.max_weight}, noise_std={self.noise_std}, seed={self.seed}'
