"""Connection weights relaxed to [0, 1] (SparseMask)."""

from __future__ import annotations

import math
from collections import OrderedDict

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_sparsemask.connectivity import Connectivity


def counter_noise(shape: int, seed: int, step: Tensor) -> Tensor:
    """Standard normal numbers that depend on a seed and a step only.

    The process's random state has no part in it, so a resumed run draws the same numbers. Made of
    tensor operations alone (an integer hash, then the Box-Muller transform), so it compiles.

    Args:
        shape: How many numbers.
        seed: Any integer.
        step: Integer tensor of one element.

    Returns:
        (shape,), float32, on the device of `step`.
    """
    index = torch.arange(2 * shape, device=step.device)
    bits = _hash32(_hash32(_hash32(index) + step) + seed % 2**32)
    # In (0, 1): never 0, whose logarithm is infinite.
    uniform = (bits.to(torch.float32) + 0.5) * (1 / 2**32)
    radius = torch.sqrt(-2 * torch.log(uniform[:shape].clamp(max=1 - 2**-24)))
    return radius * torch.cos(2 * math.pi * uniform[shape:])


def _hash32(value: Tensor) -> Tensor:
    # A 32-bit avalanche hash; the multiplier is below 2^31, so int64 never overflows.
    value = value & 0xFFFFFFFF
    for _ in range(2):
        value = ((value ^ (value >> 16)) * 0x45D9F3B) & 0xFFFFFFFF
    return value ^ (value >> 16)


def clamp_inclusive(value: Tensor, high: float) -> Tensor:
    """Clamp to [0, high] with gradient inside and on the bounds.

    A weight that was projected to 0 must be able to grow again; versions of torch differ in the
    gradient of `clamp` on a bound.
    """
    inside = (value >= 0) & (value <= high)
    return torch.where(inside, value, value.detach().clamp(0, high))


@MODELS.register_module()
class RelaxedConnections(nn.Module):
    """A real weight for each connection (SparseMask, Section 3.2).

    Raw weights live in [0, max_weight] and start at half of that; they are projected to their range
    before each use. The forward pass scales a connection by its raw weight plus noise, clamped to
    the range; loss and pruning see ``raw / max_weight`` in [0, 1].

    Args:
        connectivity: The search space.
        max_weight: Upper end of the raw weights. 2.0 is the published implementation's, 1.0 the
            paper's text.
        noise_std: Standard deviation of the noise on the raw weights in training. 0.1 is the
            published implementation's, 0.0 the paper's text.
        seed: Of the noise, which depends on it and on the number of training passes only.

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
        super().__init__()
        if not max_weight > 0:
            raise ValueError(f'max_weight: expected a positive number, got {max_weight}')
        if not noise_std >= 0:
            raise ValueError(f'noise_std: expected a number of at least 0, got {noise_std}')
        self.max_weight = max_weight
        self.noise_std = noise_std
        self.seed = seed
        # Finest stage first, sources in the order of Connectivity.stages. An OrderedDict keeps the
        # order; ParameterDict would sort a dict by name, which puts D10 before D2.
        self.raw = nn.ParameterDict(
            OrderedDict(
                (stage, nn.Parameter(torch.full((len(sources),), max_weight / 2)))
                for stage, sources in reversed(connectivity.stages.items())
            )
        )
        self.register_buffer('step', torch.zeros((), dtype=torch.int64))

    def forward(self) -> dict[str, Tensor]:
        """Weights that scale the connections in this pass, by stage: (n_l,) in [0, max_weight]."""
        if self.training:
            self._project()
        drawn = dict(self.raw.items())
        if self.training and self.noise_std:
            counts = [len(raw) for raw in drawn.values()]
            noise = counter_noise(sum(counts), self.seed, self.step) * self.noise_std
            drawn = {
                stage: raw + part.to(raw.dtype)
                for (stage, raw), part in zip(drawn.items(), noise.split(counts))
            }
        if self.training:
            # In place: assigning a buffer anew would break a compiled graph.
            self.step.add_(1)
        return {stage: clamp_inclusive(raw, self.max_weight) for stage, raw in drawn.items()}

    def weights(self) -> dict[str, Tensor]:
        """Connection weights in [0, 1] by stage, without noise, with gradient: (n_l,)."""
        return {
            stage: clamp_inclusive(raw, self.max_weight) / self.max_weight
            for stage, raw in self.raw.items()
        }

    @torch.no_grad()
    def _project(self) -> None:
        for raw in self.raw.values():
            raw.clamp_(0, self.max_weight)

    def extra_repr(self) -> str:
        """Arguments, for printing."""
        return f'max_weight={self.max_weight}, noise_std={self.noise_std}, seed={self.seed}'
