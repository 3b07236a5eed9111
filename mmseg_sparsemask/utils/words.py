"""Numbers in sentences."""

from __future__ import annotations


def counted(number: int, thing: str) -> str:
    """A number of things, such as ``1 trial`` and ``2 trials``."""
    return f'{number} {thing}' if number == 1 else f'{number} {thing}s'
