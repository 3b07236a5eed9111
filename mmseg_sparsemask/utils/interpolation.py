"""Bilinear resizing as products with matrices, in NumPy's words and torch's alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def interpolation_matrix(
    inputs: int, outputs: int, align_corners: bool, arange: Callable[[int], Any]
) -> Any:
    """Matrix (outputs, inputs) of linear resizing along one axis, in float64.

    Output i lies at i (h - 1) / (H - 1) between the inputs with aligned corners, else at
    (i + 1/2) h / H - 1/2. Its weight on an input is one minus their distance, where that is
    positive; an output beyond the first or the last input takes that one alone. The numbers are
    whole up to the last division, and every operation is one that exported graphs have: the sizes
    may be a graph's unknowns.

    Args:
        inputs: h.
        outputs: H.
        align_corners: As of `torch.nn.functional.interpolate`.
        arange: Gives 0 .. n - 1 as an array or a tensor of float64.
    """
    index = arange(outputs)
    if align_corners:
        denominator = outputs - 1 if outputs > 1 else 1
        numerator = index * (inputs - 1)
    else:
        denominator = 2 * outputs
        numerator = (2 * index + 1) * inputs - outputs
    distance = abs(numerator[:, None] - arange(inputs) * denominator)
    weights = (1 - distance / denominator).clip(min=0)
    return weights / weights.sum(1)[:, None]
