"""Numbers and lists in sentences."""

from __future__ import annotations

from collections.abc import Sequence


def counted(number: int, thing: str) -> str:
    """A number of things, such as ``1 trial`` and ``2 trials``."""
    return f'{number} {thing}' if number == 1 else f'{number} {thing}s'


def listed(items: Sequence[object], most: int = 10) -> str:
    """Items in a sentence, so many at most."""
    more = f' and {len(items) - most} more' if len(items) > most else ''
    return ', '.join(map(str, items[:most])) + more
