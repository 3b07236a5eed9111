"""Checks of what a user gives: one function for each kind, one line for each error."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from numbers import Integral
from typing import Any

from numpy.typing import NDArray


def check_keys(data: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    """Refuse keys that are not known.

    Raises:
        ValueError: Some are; the message begins with ``where``.
    """
    unknown = set(data) - set(known)
    if unknown:
        known = sorted(known)
        raise ValueError(f'{where}: unknown keys {sorted(map(str, unknown))}; expected {known}')


def check_shares(values: NDArray[Any], what: str) -> None:
    """Refuse an array that leaves [0, 1] somewhere.

    Raises:
        ValueError: It does, or holds what is no number; the message begins with ``what``.
    """
    low, high = values.min(initial=0), values.max(initial=0)
    if not (low >= 0 and high <= 1):  # NaN is neither
        raise ValueError(
            f'{what} must lie in [0, 1], got [{low}, {high}]; apply a sigmoid to logits'
        )


def check_one_of(name: str, value: Any, known: Collection[Any]) -> None:
    """Refuse a value that is not one of several.

    Raises:
        ValueError: It is none of them.
    """
    if value not in known:
        raise ValueError(f'{name} must be one of {", ".join(map(repr, known))}, got {value!r:.200}')


def check_printable(what: str, text: str) -> str:
    """Return a text if nothing in it steers a terminal.

    Raises:
        ValueError: It has control characters, such as new lines; the message begins with ``what``.
    """
    if not text.isprintable():
        raise ValueError(f'{what}: expected one line of printable text, got {text!r}')
    return text


def check_whole(least: int, **values: Any) -> None:
    """Refuse what is no whole number from ``least`` on.

    Args:
        least: The smallest that is allowed.
        values: By name.

    Raises:
        ValueError: One is another kind of value, or smaller.
    """
    for name, value in values.items():
        whole = isinstance(value, Integral) and not isinstance(value, bool)
        if not whole or value < least:
            raise ValueError(f'{name} must be a whole number, at least {least}, got {value!r}')
