"""The search: workers that share a storage, and the launcher that starts and watches them."""

from __future__ import annotations

import copy
import multiprocessing
import os
import random
import socket
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import optuna
import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial
from tqdm import tqdm

from mmseg_sparsemask.dpc.cell import Cell
from mmseg_sparsemask.dpc.cost import CellCost, cell_cost
from mmseg_sparsemask.dpc.proxy import ProxyTask, measure_latency, prepare_task, train_cell
from mmseg_sparsemask.dpc.report import write_report
from mmseg_sparsemask.dpc.samplers import build_sampler
from mmseg_sparsemask.dpc.settings import SearchSettings
from mmseg_sparsemask.dpc.space import sample_unseen
from mmseg_sparsemask.dpc.study import (
    admitted,
    earlier_trial,
    fail_stale,
    finished_trials,
    open_storage,
    open_study,
    running_count,
)

MAX_ERRORS = 3
"""Failures in a row after which a worker gives up."""
MAX_REPEATS = 3
"""Repeats in a row after which a worker queues a cell that nobody has tried."""
POLL = 0.5
"""Seconds between two looks at the study while there is nothing to do."""


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


def identity(settings: SearchSettings, task: ProxyTask) -> dict[str, Any]:
    """What two searches must share for their scores to compare."""
    proxy = task.settings
    return {
        'space': [
            settings.space.branches,
            list(settings.space.rates),
            list(settings.space.grids),
            settings.space.conv1x1,
        ],
        'objectives': list(settings.objectives),
        'proxy': [
            proxy.max_iters,
            proxy.val_interval,
            proxy.patience,
            proxy.batch_size,
            proxy.filters,
            proxy.seed,
        ],
        'caches': task.keys,
    }


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

    def __call__(self, trial: Trial) -> tuple[float, ...]:
        """The values of the objectives.

        Raises:
            SkipTrial: Surplus, or another trial has the same cell.
        """
        space = self.job.settings.space
        params = {
            name: trial.suggest_categorical(name, values)
            for name, values in space.choices().items()
        }
        cell = space.from_params(params)
        stored = self.study.get_trials(deepcopy=False)[trial.number]
        if 'failed_trial' in stored.system_attrs and 'hash' not in stored.user_attrs:
            # Its worker was killed before it had a cell. A cell drawn only now would be at a
            # number that trials after it have already looked at.
            trial.set_user_attr('skipped', 'nothing to run again')
            raise SkipTrial
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
            for name in ('miou', 'params', 'macs', 'latency'):
                trial.set_user_attr(name, other.user_attrs[name])
            return tuple(other.values)
        self.repeats = 0
        result = train_cell(
            self.job.task, cell, Path(self.job.work_dir) / 'proxy' / f'trial_{trial.number:05d}'
        )
        cost = cost_of(self.job.task, cell)
        found = {
            'miou': result.miou,
            'params': cost.params,
            'macs': cost.macs,
            'latency': measure_latency(self.job.task, cell),
        }
        for name, value in found.items():
            trial.set_user_attr(name, value)
        trial.set_user_attr('seconds', round(result.seconds, 3))
        trial.set_user_attr('iters', result.curve[-1][0])
        trial.set_user_attr('curve', [list(point) for point in result.curve])
        return tuple(found[name] for name in self.job.settings.objectives)


def _make_sampler(job: Job) -> optuna.samplers.BaseSampler:
    bounds = dict(job.settings.constraints or {})

    def allowed(cell: Cell) -> bool:
        cost = cost_of(job.task, cell)
        return all(
            getattr(cost, name) <= bounds[name] for name in ('params', 'macs') if name in bounds
        )

    def violations(trial: FrozenTrial) -> Sequence[float]:
        return [trial.user_attrs[name] - bound for name, bound in bounds.items()]

    # Samplers of Optuna keep a state of their own: every worker of every start needs another seed,
    # else they propose the same cells again. The own sampler draws by the trial's number.
    kind = job.settings.sampler.get('type', 'paper')
    seed = job.settings.seed
    if kind in ('tpe', 'nsga2'):
        seed = random.Random(f'{seed}:{socket.gethostname()}:{os.getpid()}:{job.worker}').randrange(
            2**31
        )
    return build_sampler(
        job.settings.sampler,
        job.settings.space,
        seed,
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
    # The toolbox warns on every build of a model and a loop, here hundreds of times.
    warnings.simplefilter('ignore')
    init_default_scope('mmseg')
    storage = open_storage(job.storage, job.settings.heartbeat, job.settings.grace)
    study = open_study(
        storage, job.study, job.settings.directions, identity(job.settings, job.task)
    )
    study.sampler = _make_sampler(job)
    objective = Objective(job, study)
    errors: list[Exception] = []

    def guarded(trial: Trial) -> tuple[float, ...]:
        try:
            values = objective(trial)
        except SkipTrial:
            raise
        except Exception as error:
            trial.set_user_attr('error', f'{type(error).__name__}: {error}'[:1000])
            errors.append(error)
            raise SkipTrial from error
        errors.clear()
        return values

    while len(finished_trials(study)) < job.target:
        # The launcher is gone: whoever killed it wants an end.
        if os.getppid() != job.parent:
            return
        fail_stale(study)
        if len(finished_trials(study)) + running_count(study) >= job.target:
            time.sleep(POLL)
            continue
        if objective.repeats >= MAX_REPEATS:
            seen = {t.user_attrs['hash'] for t in finished_trials(study)}
            cell = sample_unseen(job.settings.space, seen, random.Random())
            if cell is not None:
                # With its hash, so that no other worker begins the cell while it is queued.
                study.enqueue_trial(
                    job.settings.space.to_params(cell), user_attrs={'hash': cell.hash}
                )
            objective.repeats = 0
        try:
            study.optimize(guarded, n_trials=1, catch=(SkipTrial,))
        except optuna.exceptions.UpdateFinishedTrialError:
            # This process stood still for longer than the grace period, and its trial was given to
            # another worker: the result here is one too many.
            continue
        if len(errors) >= MAX_ERRORS:
            raise errors[-1]


def _start(job: Job) -> BaseProcess:
    process = multiprocessing.get_context('spawn').Process(
        target=run_worker, args=(job,), name=f'dpc-worker-{job.worker}'
    )
    process.start()
    return process


def run_search(
    cfg: Config, storage: str, study_name: str, workers: int, trials: int, work_dir: str | Path
) -> dict[str, Any]:
    """Search until the study holds ``trials`` finished trials, and write the report.

    Run again to go on, with more ``trials`` to search further; run on other machines with the same
    storage to share the work.

    Args:
        cfg: A training config with a ``dpc_search`` dict.
        storage: Database URL, or the path of a SQLite file.
        study_name: Of the study in that storage.
        workers: Processes to start here.
        trials: Finished trials wanted in all, over all starts and machines.
        work_dir: For results and the workers' files.

    Returns:
        What `write_report` returns.

    Raises:
        ValueError: Bad settings, an unreachable storage, a study of other settings.
        RuntimeError: All workers of this start ended before the study was complete.
    """
    if workers < 1:
        raise ValueError(f'--workers must be at least 1, got {workers}')
    if trials < 1:
        raise ValueError(f'--trials must be at least 1, got {trials}')
    settings = SearchSettings.from_config(cfg)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    opened = open_storage(storage, settings.heartbeat, settings.grace)
    target = min(trials, settings.space.count_distinct)
    if target < trials:
        print_log(f'the space has {target} distinct cells: searching all of them', 'current')
    work_dir = Path(work_dir)
    work_dir.mkdir(parents=True, exist_ok=True)
    task = prepare_task(cfg)
    study = open_study(opened, study_name, settings.directions, identity(settings, task))
    fail_stale(study)
    done = len(finished_trials(study))
    print_log(
        f'study {study_name!r} in {storage if "@" not in storage else "the given storage"}: '
        f'{done} of {target} trials finished, {settings.space.count:.3g} cells in the space',
        'current',
    )
    gpus = [str(index) for index in range(torch.cuda.device_count())]
    if gpus and os.environ.get('CUDA_VISIBLE_DEVICES'):
        gpus = os.environ['CUDA_VISIBLE_DEVICES'].split(',')
    job = dict(
        settings=settings,
        task=copy.deepcopy(task),
        storage=storage,
        study=study_name,
        target=target,
        work_dir=str(work_dir),
        threads=max(1, (os.cpu_count() or 1) // workers),
        parent=os.getpid(),
    )
    processes: list[BaseProcess] = []
    start = time.monotonic()
    bar = tqdm(total=target, initial=done, desc='cells', unit='cell')
    try:
        if done < target:
            processes = [
                _start(Job(**job, worker=i, gpu=gpus[i % len(gpus)] if gpus else None))
                for i in range(workers)
            ]
        while done < target:
            time.sleep(POLL)
            found = finished_trials(study)
            if len(found) > done:
                best = max(t.user_attrs['miou'] for t in found)
                bar.set_postfix(best_mIoU=f'{best:.2f}', refresh=False)
                bar.update(len(found) - done)
                done = len(found)
            if not any(p.is_alive() for p in processes) and done < target:
                done = len(finished_trials(study))
                break
        for process in processes:
            process.join()
    finally:
        bar.close()
        for process in processes:
            if process.is_alive():
                process.terminate()
                process.join()
        found = finished_trials(study)
        result = write_report(study, settings, work_dir) if found else {}
    if len(found) < target:
        errors = [t.user_attrs['error'] for t in study.get_trials() if 'error' in t.user_attrs]
        why = f' The last error was: {errors[-1]}' if errors else ''
        raise RuntimeError(
            f'all workers ended with {len(found)} of {target} trials finished.{why} What is '
            'finished is kept: the same command goes on'
        )
    cost = '\n'.join(cost_of(task, result['best']).lines())
    print_log(f'the best cell on features of {task.feature_size}:\n{cost}', 'current')
    print_log(f'{target} trials, {time.monotonic() - start:.0f} s in this start', 'current')
    return result
