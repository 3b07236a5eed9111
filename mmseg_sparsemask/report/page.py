"""From plain data and a template to one HTML file."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mmseg_sparsemask.utils.files import write_atomically

#: A page holds at most this many numbers of a history, which keeps it under 2 MB.
MAX_NUMBERS = 60_000

#: So that no page grows beyond what a browser opens at once; see `write_page`.
MAX_BYTES = 2_000_000


@dataclass(frozen=True)
class Step:
    """A command that a reader may want to run next.

    Attributes:
        command: The line to type.
        purpose: What it does, a few words.
    """

    command: str
    purpose: str


def render(template: str, data: Mapping[str, Any], **texts: Any) -> str:
    """Fill in a template; whatever it is given is escaped.

    Args:
        template: Name of a file in ``templates/``.
        data: For the page's script, as JSON. No infinite numbers or NaN.
        texts: For the template itself; a ``record`` with name and commands is one of them.

    Raises:
        ValueError: A number is not finite.
    """
    _check_finite(data, 'data')
    environment = templates_beside(__file__, autoescape=True)
    return environment.get_template(template).render(data=data, **texts)


def templates_beside(module: str, **settings: Any) -> Environment:
    """The templates in the folder ``templates/`` beside a module's file.

    Args:
        module: The module's ``__file__``.
        settings: Further ones of Jinja's.
    """
    return Environment(
        loader=FileSystemLoader(Path(module).parent / 'templates'),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **settings,
    )


def write_page(page: str, path: str | os.PathLike[str]) -> Path:
    """Write a page, whole or not at all.

    Raises:
        ValueError: It is too large, or the file cannot be written.
    """
    content = page.encode()
    if len(content) > MAX_BYTES:
        raise ValueError(
            f'{path}: expected a page of at most {MAX_BYTES:,} bytes, got {len(content):,}; '
            'give fewer records'
        )
    write_atomically(path, content)
    return Path(path)


def thinned(count: int, width: int) -> list[int]:
    """Which of `count` records of `width` numbers a page shows: evenly, with first and last."""
    most = max(2, MAX_NUMBERS // max(width, 1))
    if count <= most:
        return list(range(count))
    return [round(place * (count - 1) / (most - 1)) for place in range(most)]


def _check_finite(value: Any, where: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f'{where}: expected a finite number, got {value}')
    if isinstance(value, Mapping):
        for key, item in value.items():
            _check_finite(item, f'{where}.{key}')
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for place, item in enumerate(value):
            _check_finite(item, f'{where}[{place}]')
