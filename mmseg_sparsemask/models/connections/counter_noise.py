"""Random numbers without a random state."""

from __future__ import annotations

import math

import torch
from torch import Tensor


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
