"""Configs as users give them: a file, what ``--cfg-options`` puts into it, how a run draws."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config
from mmengine.utils import import_modules_from_strings

from mmseg_sparsemask.utils.registered import type_name


def read_config(path: str | os.PathLike[str], options: Mapping[str, Any] | None = None) -> Config:
    """Read a config.

    Args:
        path: The file.
        options: See `override`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no Python, or has no place for an option.
    """
    try:
        cfg = Config.fromfile(path)
    except SyntaxError as error:
        raise ValueError(
            f'{path}: this config, or one that it inherits, is no Python: {error.msg}, line '
            f'{error.lineno}: {(error.text or "").strip():.80}'
        ) from None
    override(cfg, options)
    return cfg


def override(cfg: Config, options: Mapping[str, Any] | None) -> None:
    """Set values of a config, and import the modules that they name under ``custom_imports``.

    Args:
        cfg: A config of MMEngine.
        options: By dotted keys.

    Raises:
        ValueError: A key leads through what is neither a dict nor a list, or beyond a list's end.
    """
    options = dict(options or {})
    try:
        cfg.merge_from_dict(options)
    except (KeyError, TypeError) as error:
        raise ValueError(
            f'--cfg-options {" ".join(options)}: expected dotted keys of settings, numbers from 0 '
            f'for the items of lists; the config has no such place ({error.args[0]})'
        ) from None
    if any(key.split('.')[0] == 'custom_imports' for key in options):
        # Those of the file were imported when it was read.
        import_modules_from_strings(**cfg.custom_imports)


def decode_head_of(cfg: Config) -> Any:
    """Settings of the decode head of a config's model.

    Raises:
        ValueError: It has none, or several.
    """
    head = (cfg.get('model') or {}).get('decode_head')
    if not isinstance(head, Mapping):
        raise ValueError(f'expected a model with one decode_head, got {head!r:.80}')
    return head


def heads_of(model: dict) -> Iterator[tuple[str, dict]]:
    """(key, settings) of every head of a model."""
    for key in ('decode_head', 'auxiliary_head'):
        heads = model.get(key)
        if isinstance(heads, dict):
            yield f'model.{key}', heads
        for number, head in enumerate(heads if isinstance(heads, (list, tuple)) else ()):
            yield f'model.{key}.{number}', head


def has_supernet(model: dict) -> bool:
    """Whether a head of a model is an ``FDNHead``."""
    return any(type_name(head) == 'FDNHead' for _, head in heads_of(model))


def draw_by_iteration(cfg: Config) -> None:
    """Let a run draw its random numbers by `SeedHook`, so that it can be resumed bit for bit.

    A hook of another kind in the place ``default_hooks.sampler_seed`` stays.
    """
    hooks = cfg.get('default_hooks') or {}
    current = {'type': 'DistSamplerSeedHook', **(hooks.get('sampler_seed') or {})}
    if type_name(current) == 'DistSamplerSeedHook':
        cfg.default_hooks = dict(hooks, sampler_seed=dict(type='SeedHook'))
