"""Configs that the package writes: a base to inherit, and what it fills in."""

from __future__ import annotations

import keyword
import os
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmseg_sparsemask.utils.files import write_atomically

#: How a pure-Python config begins, up to what it inherits.
_PURE_PYTHON = """from os.path import abspath, dirname, join

from mmengine.config import read_base

with read_base():
    from {base} import *

"""


class Beside(str):
    """Name of a file or folder that lies in the folder of the config, wherever that is moved."""


def write_derived_config(
    path: str | os.PathLike[str],
    base: str | os.PathLike[str],
    settings: Mapping[str, Any],
    comment: str,
    pure_python: bool = False,
) -> None:
    """Write a config file that inherits another one; whole or not at all.

    The base is named relative to the file when both lie under the working directory, so that the
    folder can move with the project, and absolutely otherwise.

    Args:
        path: The config to write.
        base: The config that it inherits.
        settings: What the config sets.
        comment: What the file begins with, without ``#``; long lines are broken.
        pure_python: Write a config that imports its base, as those must that inherit a pure-Python
            config. Its base is always named relative to it.

    Raises:
        ValueError: The folder does not exist or cannot be written to; or the way to the base has
            parts that Python cannot import.
    """
    folder = os.path.dirname(os.path.abspath(path))
    name, out = os.path.realpath(base), os.path.realpath(folder)
    if pure_python:
        head = _PURE_PYTHON.format(base=_module(os.path.relpath(name, out)))
    else:
        here = os.path.realpath(os.curdir) + os.sep
        # Through a linked folder a relative name would lead elsewhere.
        if name.startswith(here) and out.startswith(here) and out == folder:
            name = os.path.relpath(name, out)
        head = f'_base_ = [{_literal(name)}]\n'
    lines = [_setting(key, value, folder, pure_python) for key, value in settings.items()]
    said = textwrap.fill(comment, 98, initial_indent='# ', subsequent_indent='# ')
    write_atomically(path, f'{said}\n{head}{"".join(lines)}')


def _module(relative: str) -> str:
    """How a config imports another one, by the way from its folder to that."""
    *folders, file = Path(relative).parts
    above = folders.count(os.pardir)
    names = [*folders[above:], file.removesuffix('.py')]
    wrong = [name for name in names if not name.isidentifier() or keyword.iskeyword(name)]
    if wrong:
        raise ValueError(
            f'a pure-Python config is inherited by an import, and {wrong[0]!r} on the way to it is '
            'no name that Python can import; rename it, or choose another work directory'
        )
    return '.' * (above + 1) + '.'.join(names)


def _setting(key: str, value: Any, folder: str, pure_python: bool) -> str:
    """The lines that set one thing."""
    text = as_python(value, folder, pure_python)
    if pure_python and isinstance(value, Mapping):
        return f'{key}.merge({text})\n'
    return f'{key} = {text}\n'


def as_python(value: Any, folder: str, pure_python: bool, indent: str = '') -> str:
    """A value as configs have it: dicts and lists of dicts over several lines, else its `repr`."""
    if isinstance(value, Beside):
        if pure_python:
            return f'join(dirname(abspath(__file__)), {str(value)!r})'
        # MMEngine puts the folder's name there as it is, so one that would end a string, or be
        # replaced itself, is written out.
        if re.fullmatch(r'[^\'"\\{}\n\r]*', folder):
            return repr(f'{{{{ fileDirname }}}}/{value}')
        return _literal(os.path.join(folder, value))
    inner = f'{indent}    '
    if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        rows = ''.join(f'{inner}{_in_one_line(item)},\n' for item in value)
        return f'[\n{rows}{indent}]'
    if not isinstance(value, Mapping):
        return _literal(value)
    if not _are_keywords(value):
        raise ValueError(f'settings: expected keys that can be keywords, got {list(value)}')
    lines = [
        f'{inner}{key}={as_python(item, folder, pure_python, inner)},\n'
        for key, item in value.items()
    ]
    return f'dict(\n{"".join(lines)}{indent})' if lines else 'dict()'


def _in_one_line(value: Mapping[str, Any]) -> str:
    if not _are_keywords(value):
        return _literal(value)
    return f'dict({", ".join(f"{key}={_literal(item)}" for key, item in value.items())})'


def _are_keywords(keys: Mapping[Any, Any]) -> bool:
    return all(isinstance(k, str) and k.isidentifier() and not keyword.iskeyword(k) for k in keys)


def _literal(value: Any) -> str:
    """A plain value in Python; nothing in it is replaced by MMEngine when the config is read."""
    return repr(value).replace('{{', r'{\x7b')
