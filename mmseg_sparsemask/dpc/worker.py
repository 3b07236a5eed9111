"""A worker of the search: take a cell, train it, report; again until the study is complete."""

from __future__ import annotations

import copy
import json
import os
import pickle
import random
import socket
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import torch
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from mmengine.utils import import_modules_from_strings
from optuna.exceptions import UpdateFinishedTrialError
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from mmseg_sparsemask.dpc.cell import Cell
from mmseg_sparsemask.dpc.cost import CellCost, cell_cost
from mmseg_sparsemask.dpc.proxy import ProxyTask, measure_latency, train_cell
from mmseg_sparsemask.dpc.samplers import build_sampler, distributions
from mmseg_sparsemask.dpc.settings import OBJECTIVES, ProxySettings, SearchSettings
from mmseg_sparsemask.dpc.space import sample_unseen
from mmseg_sparsemask.dpc.storage import PATIENCE, open_storage
from mmseg_sparsemask.dpc.study import (
    Watch,
    admitted,
    earlier_trial,
    finished_trials,
    is_finished,
    open_study,
    signs_of_life,
)
from mmseg_sparsemask.utils.registered import replace_sync_bn
from mmseg_sparsemask.utils.timing import processor

#: Failures in a row after which a worker gives up.
MAX_ERRORS = 3
#: Repeats in a row after which a worker queues a cell that nobody has tried.
MAX_REPEATS = 3
#: Seconds between two looks at the study while there is nothing to do.
POLL = 0.5
#: Settings of the proxy task that scores depend on, in the order in which studies keep them.
SCORED = ('max_iters', 'val_interval', 'patience', 'batch_size', 'filters', 'seed')
#: Exit status of a worker that gave up; another in its place would fail alike.
GAVE_UP = 3


@dataclass(frozen=True)
class Job:
    """All that a worker process needs; plain data.

    Args:
        settings: Settings of the search.
        task: The proxy task.
        storage: Database URL, or the path of a SQLite file.
        study: Name of the study.
        target: How many finished trials are wanted.
        work_dir: Folder of the search.
        worker: Number of the worker.
        threads: Threads of torch.
        parent: Process id of the launcher; the worker ends when that is gone.
    """

    settings: SearchSettings
    task: ProxyTask
    storage: str
    study: str
    target: int
    work_dir: str
    worker: int
    threads: int
    parent: int


def settings_fingerprint(
    settings: SearchSettings, proxy: ProxySettings, model: Mapping[str, Any], evaluator: Any
) -> dict[str, Any]:
    """What two searches must share for their scores to compare, of what the config states.

    Args:
        settings: Settings of the search.
        proxy: Those of the proxy task.
        model: The ``model`` dict of the config.
        evaluator: Its ``val_evaluator``.

    Returns:
        JSON values.
    """
    space = settings.space
    # A trial sets its cell; which feature it reads is known by the caches.
    head = {k: v for k, v in model['decode_head'].items() if k not in ('cell', 'in_index')}
    head = copy.deepcopy(head)
    replace_sync_bn(head)
    found = {
        'space': [space.branches, space.rates, space.grids, space.conv1x1],
        'objectives': settings.objectives,
        'proxy': [getattr(proxy, name) for name in SCORED],
        'optim_wrapper': proxy.optim_wrapper,
        'decode_head': head,
        'val_evaluator': evaluator,
    }
    if 'latency' in {*settings.objectives, *settings.constraints}:
        found['latency'] = f'on {processor(get_device())}'
    return dict(json.loads(json.dumps(found, default=repr)))


def search_fingerprint(settings: SearchSettings, task: ProxyTask) -> dict[str, Any]:
    """The same with the keys of the caches, which are known once these are there."""
    stated = settings_fingerprint(settings, task.settings, task.model, task.evaluator)
    return {**stated, 'caches': task.keys}


def cost_of(task: ProxyTask, cell: Cell) -> CellCost:
    """The cost of a cell in the search config's own head (not in a narrower proxy)."""
    head = task.model['decode_head']
    channels = head.get('channels', 256)
    widths, pooling = (head.get('filters') or channels, channels), head.get('pooling', 'grid')
    return cell_cost(cell, head['in_channels'], task.feature_size, *widths, pooling)


def _score(job: Job, study: Study, trial: Trial) -> tuple[float, ...] | None:
    """Train and score the cell of a trial, unless somebody else does or has.

    Returns:
        The values of the objectives; None for a trial that is not to be trained: it is surplus, or
        another one trains the same cell.
    """
    cell = job.settings.space.from_params(trial.params)

    def note(**attributes: Any) -> None:
        for name, value in attributes.items():
            trial.set_user_attr(name, value)

    note(worker=f'{socket.gethostname()}:{os.getpid()}', cell=cell.to_string(), hash=cell.hash)
    if not admitted(study, trial.number, job.target):
        note(skipped='surplus')
        return None
    other = earlier_trial(study, trial.number, cell.hash)
    if other is not None:
        note(repeat_of=other.number)
        if other.values is None:
            note(skipped=f'trial {other.number} has this cell')
            return None
        note(**{name: other.user_attrs[name] for name in OBJECTIVES})
        return tuple(other.values)

    def report(iteration: int, miou: float) -> None:
        # Optuna keeps learning curves for a single objective alone.
        if len(job.settings.objectives) == 1:
            trial.report(miou, iteration)

    folder = Path(job.work_dir) / 'proxy' / f'trial_{trial.number:05d}'
    result = train_cell(job.task, cell, folder, report)
    cost = cost_of(job.task, cell)
    found = {
        'miou': result.miou,
        'parameters': cost.parameters,
        'multiply_adds': cost.multiply_adds,
        'latency': round(measure_latency(job.task, cell), 3),
    }
    note(**found, seconds=round(result.seconds, 3), iters=result.curve[-1][0])
    note(curve=[list(point) for point in result.curve])
    return tuple(found[name] for name in job.settings.objectives)


def _make_sampler(job: Job) -> optuna.samplers.BaseSampler:
    bounds = dict(job.settings.constraints)
    counted = {name: bounds[name] for name in ('parameters', 'multiply_adds') if name in bounds}

    def allowed(cell: Cell) -> bool:
        cost = cost_of(job.task, cell)
        return all(getattr(cost, name) <= bound for name, bound in counted.items())

    def violations(trial: FrozenTrial) -> Sequence[float]:
        return [trial.user_attrs[name] - bound for name, bound in bounds.items()]

    keep = (allowed, violations) if bounds else ()
    return build_sampler(job.settings.sampler, job.settings.space, job.settings.seed, *keep)


def run_worker(job: Job) -> None:
    """Train cells until the study has as many finished trials as wanted.

    A failing cell is noted with its error and the next one is tried; after `MAX_ERRORS` in a
    row the last error is raised.
    """
    torch.set_num_threads(job.threads)
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    # MMSegmentation warns on every build of a model and a loop, here hundreds of times.
    warnings.simplefilter('ignore')
    init_default_scope('mmseg')
    if job.task.imports:
        import_modules_from_strings(**job.task.imports)
    settings = job.settings
    # The launcher announces outages.
    storage = open_storage(job.storage, first_patience=PATIENCE, announce=False)
    fingerprint = search_fingerprint(settings, job.task)
    study = open_study(storage, job.study, settings.directions, fingerprint)
    study.sampler = _make_sampler(job)
    watch = Watch(study, storage, settings.grace)
    repeats, errors = 0, 0
    while len(finished_trials(study)) < job.target:
        # The launcher is gone: whoever killed it wants an end.
        if os.getppid() != job.parent:
            return
        watch.look()
        trials = study.get_trials(deepcopy=False)
        # Among the running ones may be dead ones not yet noticed.
        if sum(is_finished(t) or t.state == TrialState.RUNNING for t in trials) >= job.target:
            time.sleep(POLL)
            continue
        if repeats >= MAX_REPEATS:
            seen = {t.user_attrs['hash'] for t in finished_trials(study)}
            rng = random.Random(f'{settings.seed}:{job.worker}:{len(trials)}')
            cell = sample_unseen(settings.space, seen, rng)
            if cell is not None:
                # With its hash, so that no other worker begins the cell while it is queued.
                study.enqueue_trial(settings.space.to_params(cell), user_attrs={'hash': cell.hash})
            repeats = 0
        trial = study.ask(distributions(settings.space))
        failed = values = None
        try:
            with signs_of_life(trial, settings.heartbeat):
                try:
                    values = _score(job, study, trial)
                except UpdateFinishedTrialError:
                    raise
                except Exception as error:
                    failed = error
                    trial.set_user_attr('error', f'{type(error).__name__}: {error}'[:1000])
            study.tell(trial, values, None if values else TrialState.FAIL, skip_if_finished=True)
        except UpdateFinishedTrialError:
            # This process stood still for longer than the grace period and its trial was given to
            # another worker: the result here is one too many.
            continue
        if failed is not None:
            errors += 1
            if errors >= MAX_ERRORS:
                raise failed
        elif values:
            errors = 0
        if 'repeat_of' in trial.user_attrs:
            repeats += 1
        elif values:
            repeats = 0


def main() -> None:
    """Run a worker as a process of its own, its job on standard input.

    An error is one line; the trials have the rest.
    """
    job = pickle.load(sys.stdin.buffer)
    try:
        run_worker(job)
    except Exception as error:
        line = ' '.join(str(error).split())[:300]
        print(f'worker {job.worker} ends: {type(error).__name__}: {line}', file=sys.stderr)
        sys.exit(GAVE_UP)
