"""A factor that goes from 0 to 1 between two iterations."""

from __future__ import annotations

from collections.abc import Sequence


def check_ramp(ramp: Sequence[int]) -> tuple[int, int]:
    """Return a ramp as a pair of iterations.

    Raises:
        ValueError: Not two whole numbers 0 <= first <= last.
    """
    pair = tuple(ramp) if isinstance(ramp, Sequence) and not isinstance(ramp, str) else ()
    whole = all(isinstance(i, int) and not isinstance(i, bool) for i in pair)
    if len(pair) != 2 or not whole or not 0 <= pair[0] <= pair[1]:
        raise ValueError(
            f'ramp: expected two iterations (first, last) with 0 <= first <= last, got {ramp!r}'
        )
    return pair[0], pair[1]


def ramp_factor(step: int, ramp: tuple[int, int]) -> float:
    """0 up to the first iteration, 1 from the last one on, on a line between them."""
    first, last = ramp
    if step >= last:
        return 1.0
    if step <= first:
        return 0.0
    return (step - first) / (last - first)
