"""A worker of the search: take a cell, train it, report; again until the study is complete."""

from __future__ import annotations

import os
import random
import signal
import socket
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import torch
from mmengine.registry import init_default_scope
from optuna.exceptions import UpdateFinishedTrialError
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from mmseg_sparsemask.dpc.cell import Cell
from mmseg_sparsemask.dpc.cost import CellCost, cell_cost
from mmseg_sparsemask.dpc.proxy import ProxyTask, measure_latency, train_cell
from mmseg_sparsemask.dpc.samplers import build_sampler
from mmseg_sparsemask.dpc.settings import ProxySettings, SearchSettings
from mmseg_sparsemask.dpc.space import sample_unseen
from mmseg_sparsemask.dpc.storage import PATIENCE, open_storage
from mmseg_sparsemask.dpc.study import (
    admitted,
    attributes,
    earlier_trial,
    fail_stale,
    finished_trials,
    is_finished,
    open_study,
)

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


class SkipTrial(Exception):
    """A trial that is not to be trained: surplus, or another trial has the same cell."""


@dataclass(frozen=True)
class Job:
    """All that a worker process needs; plain data."""

    settings: SearchSettings
    task: ProxyTask
    storage: str
    study: str
    target: int
    work_dir: str
    worker: int
    threads: int
    parent: int
    gpu: str | None = None


def settings_fingerprint(settings: SearchSettings, proxy: ProxySettings) -> dict[str, Any]:
    """What two searches must share for their scores to compare, as far as the config says it."""
    return {
        'space': [
            settings.space.branches,
            list(settings.space.rates),
            list(settings.space.grids),
            settings.space.conv1x1,
        ],
        'objectives': list(settings.objectives),
        'proxy': [getattr(proxy, name) for name in SCORED],
    }


def search_fingerprint(settings: SearchSettings, task: ProxyTask) -> dict[str, Any]:
    """The same with the keys of the caches, which are known once these are there."""
    return {**settings_fingerprint(settings, task.settings), 'caches': task.keys}


def cost_of(task: ProxyTask, cell: Cell) -> CellCost:
    """The cost of a cell in the search config's own head (not in a narrower proxy)."""
    head = task.model['decode_head']
    channels = head.get('channels', 256)
    return cell_cost(
        cell,
        head['in_channels'],
        task.feature_size,
        head.get('filters') or channels,
        channels,
        head.get('pooling', 'grid'),
    )


class Objective:
    """Train and score the cell of a trial, unless somebody else does or has.

    Args:
        job: The worker's job.
        study: The study.
    """

    def __init__(self, job: Job, study: Study) -> None:
        self.job = job
        self.study = study
        self.repeats = 0
        self.errors: list[Exception] = []
        self.number = -1

    def __call__(self, trial: Trial) -> tuple[float, ...]:
        """The values of the objectives.

        Raises:
            SkipTrial: Surplus, another trial has the same cell, or the training failed; an error
                is noted with the trial and in ``errors``.
        """
        self.number = trial.number
        try:
            values = self._score(trial)
        except (SkipTrial, UpdateFinishedTrialError):
            raise
        except Exception as error:
            trial.set_user_attr('error', f'{type(error).__name__}: {error}'[:1000])
            self.errors.append(error)
            raise SkipTrial from error
        self.errors.clear()
        return values

    def _score(self, trial: Trial) -> tuple[float, ...]:
        space = self.job.settings.space
        choices = {
            name: trial.suggest_categorical(name, values)
            for name, values in space.choices().items()
        }
        cell = space.from_params(choices)
        trial.set_user_attr('worker', f'{socket.gethostname()}:{os.getpid()}')
        trial.set_user_attr('cell', cell.to_string())
        trial.set_user_attr('hash', cell.hash)
        if not admitted(self.study, trial.number, self.job.target):
            trial.set_user_attr('skipped', 'surplus')
            raise SkipTrial
        other = earlier_trial(self.study, trial.number, cell.hash)
        if other is not None:
            self.repeats += 1
            trial.set_user_attr('repeat_of', other.number)
            if other.values is None:
                trial.set_user_attr('skipped', f'trial {other.number} has this cell')
                raise SkipTrial
            for name in ('miou', 'parameters', 'multiply_adds', 'latency'):
                trial.set_user_attr(name, attributes(other)[name])
            return tuple(other.values)
        self.repeats = 0
        # Optuna keeps learning curves for a single objective alone.
        report = trial.report if len(self.job.settings.objectives) == 1 else None
        result = train_cell(
            self.job.task,
            cell,
            Path(self.job.work_dir) / 'proxy' / f'trial_{trial.number:05d}',
            lambda iteration, miou: report(miou, iteration) if report else None,
        )
        cost = cost_of(self.job.task, cell)
        found = {
            'miou': result.miou,
            'parameters': cost.parameters,
            'multiply_adds': cost.multiply_adds,
            'latency': measure_latency(self.job.task, cell),
        }
        for name, value in found.items():
            trial.set_user_attr(name, value)
        trial.set_user_attr('seconds', round(result.seconds, 3))
        trial.set_user_attr('iters', result.curve[-1][0])
        trial.set_user_attr('curve', [list(point) for point in result.curve])
        return tuple(found[name] for name in self.job.settings.objectives)


def _make_sampler(job: Job) -> optuna.samplers.BaseSampler:
    bounds = dict(job.settings.constraints)
    counted = {name: bounds[name] for name in ('parameters', 'multiply_adds') if name in bounds}

    def allowed(cell: Cell) -> bool:
        cost = cost_of(job.task, cell)
        return all(getattr(cost, name) <= bound for name, bound in counted.items())

    def violations(trial: FrozenTrial) -> Sequence[float]:
        return [attributes(trial)[name] - bound for name, bound in bounds.items()]

    return build_sampler(
        job.settings.sampler,
        job.settings.space,
        job.settings.seed,
        allowed if bounds else None,
        violations if bounds else None,
    )


def run_worker(job: Job) -> None:
    """Train cells until the study has as many finished trials as wanted.

    A failing cell is noted with its error and the next one is tried; after `MAX_ERRORS` in a
    row the last error is raised.
    """
    if job.gpu is not None:
        os.environ['CUDA_VISIBLE_DEVICES'] = job.gpu
    torch.set_num_threads(job.threads)
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    # MMSegmentation warns on every build of a model and a loop, here hundreds of times.
    warnings.simplefilter('ignore')
    init_default_scope('mmseg')
    storage = open_storage(
        job.storage,
        job.settings.heartbeat,
        job.settings.grace,
        first_patience=PATIENCE,
        announce=False,  # the launcher says it
    )
    study = open_study(
        storage, job.study, job.settings.directions, search_fingerprint(job.settings, job.task)
    )
    study.sampler = _make_sampler(job)
    objective = Objective(job, study)
    while len(finished_trials(study)) < job.target:
        # The launcher is gone: whoever killed it wants an end.
        if os.getppid() != job.parent:
            return
        fail_stale(study)
        trials = study.get_trials(deepcopy=False)
        # Among the running ones may be dead ones not yet noticed.
        if sum(is_finished(t) or t.state == TrialState.RUNNING for t in trials) >= job.target:
            time.sleep(POLL)
            continue
        if objective.repeats >= MAX_REPEATS:
            seen = {t.user_attrs['hash'] for t in finished_trials(study)}
            rng = random.Random(f'{job.settings.seed}:{job.worker}:{len(study.trials)}')
            cell = sample_unseen(job.settings.space, seen, rng)
            if cell is not None:
                # With its hash, so that no other worker begins the cell while it is queued.
                study.enqueue_trial(
                    job.settings.space.to_params(cell), user_attrs={'hash': cell.hash}
                )
            objective.repeats = 0
        objective.number = -1
        try:
            study.optimize(objective, n_trials=1, catch=(SkipTrial,))
        except (ValueError, UpdateFinishedTrialError):
            # This process stood still for longer than the grace period and its trial was given to
            # another worker: the result here is one too many. Anything else is an error.
            number = objective.number
            if number < 0 or not study.get_trials(deepcopy=False)[number].state.is_finished():
                raise
        if len(objective.errors) >= MAX_ERRORS:
            raise objective.errors[-1]


def worker_process(job: Job) -> None:
    """Run a worker as a process of its own: an error is one line, the trials have the rest."""
    # Ctrl-C is the launcher's, which ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        run_worker(job)
    except Exception as error:
        line = ' '.join(str(error).split())[:300]
        print(f'worker {job.worker} ends: {type(error).__name__}: {line}', file=sys.stderr)
        sys.exit(GAVE_UP)
