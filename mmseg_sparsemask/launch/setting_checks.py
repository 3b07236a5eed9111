"""Settings that the toolbox would refuse late, or in words that name no key of the config."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config
from mmengine.registry import Registry
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import HOOKS, LOOPS, MODELS
from torch import nn

from mmseg_sparsemask.launch.checks import warn
from mmseg_sparsemask.utils.one_output import check_one_output
from mmseg_sparsemask.utils.read_config import heads_of
from mmseg_sparsemask.utils.registered import type_name

#: What any class may be given: the runner or the registry takes it.
_EVERYWHERE = {'type', '_scope_', 'priority'}
#: What the runner gives to loops.
_GIVEN = {'runner', 'dataloader', 'evaluator'}
#: Parts of a model that are classes with settings.
_PARTS = ('data_preprocessor', 'backbone', 'neck', 'decode_head', 'auxiliary_head')


def check_settings(cfg: Config) -> None:
    """Make sure that loops, hooks and parts of the model have a class that knows their settings.

    Raises:
        ValueError: A part without ``type`` or with an unknown one, one that is no dict, a setting
            that its class does not take, such as ``max_iter`` for ``max_iters``, one that it needs
            and that is missing, or a softmax over one output.
    """
    for key, settings, registry in _parts(cfg):
        if not isinstance(settings, Mapping):
            raise ValueError(
                f'{key}: expected settings such as dict(type=...), got {settings!r:.80}; '
                '--cfg-options cannot write a dict: set one of its keys, as in '
                f'{key}.KEY=VALUE, or write it in a config'
            )
        if 'type' not in settings:
            raise ValueError(
                f'{key}: expected a class, as in dict(type=...), got the keys {sorted(settings)}; '
                f'set --cfg-options {key}.type=CLASS'
            )
        kind = settings['type']
        cls = registry.get(kind) if isinstance(kind, str) else kind
        if cls is None and cfg.get('default_scope') == 'mmseg':
            close = difflib.get_close_matches(kind, registry.module_dict, 1)
            meant = f'did you mean {close[0]}?' if close else 'custom_imports names own modules'
            raise ValueError(f'{key}.type: there is no class {kind!r}; {meant}')
        known, needed = _arguments(cls) if inspect.isclass(cls) else (None, set())
        for name in () if known is None else set(settings) - known - _EVERYWHERE:
            close = difflib.get_close_matches(name, sorted(known), 1)
            meant = f'did you mean {close[0]}?' if close else f'known are {sorted(known)}'
            raise ValueError(f'{key}.{name}: {kind} has no such setting; {meant}')
        missing = sorted(needed - set(settings) - _GIVEN)
        if missing:
            raise ValueError(
                f'{key}: {kind} needs {", ".join(missing)} as well; set --cfg-options '
                f'{key}.{missing[0]}=VALUE, or write it in the config'
            )
    for key, head in heads_of(cfg.model):
        if (head.get('out_channels') or head.get('num_classes')) == 1:
            losses = head.get('loss_decode') or dict(type='CrossEntropyLoss')
            losses = losses if isinstance(losses, (list, tuple)) else [losses]
            try:
                check_one_output(nn.ModuleList(MODELS.build(dict(one)) for one in losses))
            except ValueError as error:
                raise ValueError(f'{key}.loss_decode: {error}') from None
    _warn_of_scored_void(cfg)


def _warn_of_scored_void(cfg: Config) -> None:
    """Say so when a metric scores pixels whose label the decode head ignores as void."""
    *_, head = (head for key, head in heads_of(cfg.model) if key.startswith('model.decode_head'))
    void = head.get('ignore_index', 255)
    if void < head.get('num_classes', 0):
        return  # a class that is scored without being learned
    for key, metric in _metrics(cfg):
        ignored = metric.get('ignore_index', 255)
        if type_name(metric) == 'IoUMetric' and ignored != void:
            warn(
                f'{key}: IoUMetric ignores the label {ignored}, model.decode_head ignores {void}: '
                f'whatever is predicted where the label is {void} counts as wrong; set '
                f'--cfg-options {key}.ignore_index={void}'
            )


def _metrics(cfg: Config) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for key in ('val_evaluator', 'test_evaluator'):
        found = cfg.get(key)
        if isinstance(found, Mapping):
            yield key, found
        elif isinstance(found, (list, tuple)):
            yield from ((f'{key}.{number}', metric) for number, metric in enumerate(found))


def _parts(cfg: Config) -> Iterator[tuple[str, Any, Registry]]:
    """(key, settings, registry) of what a training builds by class."""
    for key in ('train_cfg', 'val_cfg', 'test_cfg'):
        # Without a type the runner takes a loop of its own, by `by_epoch`.
        if cfg.get(key) and 'type' in cfg[key]:
            yield key, cfg[key], LOOPS
    hooks = cfg.get('custom_hooks') or ()
    if not isinstance(hooks, (list, tuple)):
        raise ValueError(
            f'custom_hooks: expected a list, as in [dict(type=...)], got {hooks!r:.80}; change one '
            'that is there with --cfg-options custom_hooks.0.KEY=VALUE, or write it in a config'
        )
    named = {f'custom_hooks.{number}': hook for number, hook in enumerate(hooks)}
    named |= {f'default_hooks.{k}': hook for k, hook in (cfg.get('default_hooks') or {}).items()}
    for key, hook in named.items():
        if isinstance(hook, (Mapping, str)):  # else one that is built already, or none
            yield key, hook, HOOKS
    yield 'model', cfg.model, MODELS
    for name in _PARTS:
        part = cfg.model.get(name)
        several = isinstance(part, (list, tuple))
        for number, settings in enumerate(part if several else [part] if part else []):
            yield f'model.{name}.{number}' if several else f'model.{name}', settings, MODELS


def _arguments(kind: type) -> tuple[set[str] | None, set[str]]:
    """The arguments that a class takes, None for any, and those that it needs."""
    names: set[str] = set()
    needed: set[str] | None = None
    for cls in kind.__mro__:
        if '__init__' in vars(cls) and cls is not object:
            taken = list(inspect.signature(cls.__init__).parameters.values())[1:]
            named = [p for p in taken if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
            names.update(p.name for p in named)
            if needed is None:
                needed = {p.name for p in named if p.default is p.empty}
            if all(p.kind is not p.VAR_KEYWORD for p in taken):
                break
            # Decode heads pass on what they do not know; other classes may make use of it.
            if not issubclass(kind, BaseDecodeHead):
                return None, needed
    return names, needed or set()
