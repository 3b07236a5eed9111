"""Configs that the package writes: a base to inherit, and what it fills in."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from mmseg_sparsemask.utils.files import write_atomically


def write_derived_config(
    path: str | os.PathLike[str],
    base: str | os.PathLike[str],
    settings: str | Mapping[str, Any],
    comment: str,
) -> None:
    """Write a config file that inherits another one; whole or not at all.

    The base is named relative to the file when both lie under the working directory, so that the
    folder can move with the project, and absolutely otherwise.

    Args:
        path: The config to write.
        base: The config that it inherits.
        settings: What the config sets; or the lines themselves, Python with values written by
            `repr`.
        comment: First line of the file, without the ``#``.

    Raises:
        ValueError: The folder does not exist or cannot be written to.
    """
    folder = os.path.dirname(os.path.abspath(path))
    name, out = os.path.realpath(base), os.path.realpath(folder)
    here = os.path.realpath(os.curdir) + os.sep
    # Through a linked folder a relative name would lead elsewhere.
    if name.startswith(here) and out.startswith(here) and out == folder:
        name = os.path.relpath(name, out)
    if not isinstance(settings, str):
        settings = ''.join(f'{key} = {_as_python(value)}\n' for key, value in settings.items())
    write_atomically(path, f'# {comment}\n_base_ = [{name!r}]\n{settings}')


def _as_python(value: Any, indent: str = '') -> str:
    """A value as configs have it: nested dicts over several lines, all else by `repr`."""
    if not isinstance(value, Mapping):
        return repr(value)
    inner = f'{indent}    '
    if not all(isinstance(key, str) and key.isidentifier() for key in value):
        raise ValueError(f'settings: expected keys that can be keywords, got {list(value)}')
    lines = [f'{inner}{key}={_as_python(item, inner)},\n' for key, item in value.items()]
    return f'dict(\n{"".join(lines)}{indent})' if lines else 'dict()'


def beside(path: str | os.PathLike[str], name: str) -> str:
    """How a config names a file or folder in its own folder.

    With ``{{ fileDirname }}``, so that the folder can move; MMEngine puts the folder's name in the
    place of that as it is, so a name that would end a string is written out instead.

    Args:
        path: The config.
        name: What lies beside it.
    """
    folder = os.path.dirname(os.path.abspath(path))
    if re.fullmatch(r'[^\'"\\{}\n\r]*', folder):
        return f'{{{{ fileDirname }}}}/{name}'
    return os.path.join(folder, name)
