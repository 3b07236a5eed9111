"""A config's schedule at a part of its length and of its learning rate."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from itertools import accumulate, pairwise
from typing import Any

from mmengine.config import Config

from mmseg_sparsemask.utils.registered import type_name

#: What each kind of schedule counts in iterations or epochs besides begin and end.
_TIMES = {
    'Constant': (),
    'CosineAnnealing': ('T_max',),
    'CosineRestart': ('periods',),
    'Exponential': (),
    'Linear': (),
    'MultiStep': ('milestones',),
    'OneCycle': ('total_steps',),
    'Poly': (),
    'QuadraticWarmup': (),
    'ReduceOnPlateau': ('patience', 'cooldown'),
    'Step': ('step_size',),
}
_RATES = ('eta_min', 'eta_max', 'min_value')


def shortened(cfg: Config, iterations: float, rate: float) -> dict[str, Any]:
    """Settings that make a config's schedule shorter and gentler, to merge into it.

    Args:
        cfg: The config; iterations or epochs are in its ``train_cfg``.
        iterations: Factor for their number and for every time in ``param_scheduler``.
        rate: Factor for the learning rate, and for those in ``param_scheduler``.

    Raises:
        ValueError: The config says neither iterations nor epochs, or no learning rate; or has a
            schedule of another kind than MMEngine's.
    """
    train = cfg.get('train_cfg') or {}
    unit = next((key for key in ('max_iters', 'max_epochs') if key in train), None)
    optimizer = (cfg.get('optim_wrapper') or {}).get('optimizer') or {}
    if unit is None or 'lr' not in optimizer:
        raise ValueError(
            'expected train_cfg with max_iters or max_epochs and an optimizer with lr, got '
            f'train_cfg = {dict(train)} and the optimizer {dict(optimizer)}; name a config for '
            'fine-tuning in PruneHook(finetune_config=...)'
        )

    time = partial(_time, iterations=iterations)
    total = time(train[unit])
    counts: dict[str, Any] = {unit: total}
    counts |= {key: min(train[key], total) for key in ('val_interval',) if train.get(key)}
    counts |= {key: min(time(train[key]), total) for key in ('val_begin',) if train.get(key)}
    settings: dict[str, Any] = {
        'train_cfg': counts,
        'optim_wrapper': {'optimizer': {'lr': optimizer['lr'] * rate}},
    }
    if train.get('dynamic_intervals'):
        counts['dynamic_intervals'] = [(time(a), b) for a, b in train['dynamic_intervals']]
    try:
        if schedules := scaled_schedules(cfg, iterations, rate):
            settings['param_scheduler'] = schedules
    except ValueError as error:
        raise ValueError(
            f'{error}; name a config for fine-tuning in PruneHook(finetune_config=...)'
        ) from None
    return settings


def scaled_schedules(
    cfg: Mapping[str, Any], iterations: float, rate: float = 1.0
) -> list[dict[str, Any]]:
    """The schedules of a config for a training of another length.

    Args:
        cfg: The config.
        iterations: Factor for every time in ``param_scheduler``.
        rate: Factor for every learning rate there.

    Raises:
        ValueError: One is of another kind than MMEngine's.
    """
    schedules = cfg.get('param_scheduler') or []
    schedules = schedules if isinstance(schedules, (list, tuple)) else [schedules]
    return [_scaled(one, iterations, rate) for one in schedules]


def _time(value: float, iterations: float) -> int:
    return max(1, round(value * iterations)) if value else 0


def _scaled(schedule: Mapping[str, Any], iterations: float, rate: float) -> dict[str, Any]:
    """A schedule with its times and learning rates scaled."""
    time = partial(_time, iterations=iterations)
    name = type_name(schedule)
    kind = re.fullmatch(r'(\w+\.)*(\w+?)(LR|Momentum|ParamScheduler)', name)
    if kind is None or kind[2] not in _TIMES:
        raise ValueError(
            f'param_scheduler: expected schedules of MMEngine ({", ".join(_TIMES)}), got {name}, '
            'which cannot be shortened'
        )
    times, shorter = ('begin', 'end', *_TIMES[kind[2]]), dict(schedule, type=name)
    begin = schedule.get('begin', 0)
    for key, value in schedule.items():
        if key in ('periods', 'total_steps'):
            # These may not end before the training does, so it is their ends that are rounded.
            ends = accumulate(value if key == 'periods' else [value], initial=begin)
            spans = [max(1, later - before) for before, later in pairwise(map(time, ends))]
            shorter[key] = spans if key == 'periods' else spans[0]
        elif key in times and value:
            many = isinstance(value, (list, tuple))
            shorter[key] = [time(one) for one in value] if many else time(value)
        elif key in _RATES and value and 'lr' in (kind[3].lower(), schedule.get('param_name')):
            many = isinstance(value, (list, tuple))
            shorter[key] = [one * rate for one in value] if many else value * rate
    if kind[2] == 'Exponential':
        shorter['gamma'] = schedule['gamma'] ** (1 / iterations)
    if shorter.get('end'):
        # A warm-up reaches its end in two steps: of one alone the low rate would stay for good.
        least = min(2, schedule['end'] - begin)
        shorter['end'] = max(shorter['end'], shorter.get('begin', 0) + least)
    return shorter
