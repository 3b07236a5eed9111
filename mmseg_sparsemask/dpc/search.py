"""The launcher of a search: it starts workers, watches them and writes the results."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import optuna
import torch
from mmengine.config import Config
from mmengine.logging import print_log
from optuna.study import Study
from tqdm import tqdm

from mmseg_sparsemask.dpc.proxy import prepare_task
from mmseg_sparsemask.dpc.report import (
    check_retrain,
    claim_results,
    holds_results_of,
    write_study_report,
)
from mmseg_sparsemask.dpc.settings import ProxySettings, SearchSettings
from mmseg_sparsemask.dpc.storage import open_storage, shown_url, storage_url
from mmseg_sparsemask.dpc.study import Watch, check_fingerprint, finished_trials, open_study
from mmseg_sparsemask.dpc.worker import (
    GAVE_UP,
    POLL,
    Job,
    cost_of,
    search_fingerprint,
    settings_fingerprint,
)
from mmseg_sparsemask.utils.checks import check_whole
from mmseg_sparsemask.utils.words import counted
from mmseg_sparsemask.utils.work_dir import lock_work_dir

#: How many workers in a row may die without a new result before no more are started.
MAX_DEATHS = 5
#: What starts a worker, which reads its job from standard input.
WORKER = [sys.executable, '-c', 'from mmseg_sparsemask.dpc.worker import main; main()']


@contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """An event that is set by Ctrl-C, which raises KeyboardInterrupt as well.

    Python prints and forgets an exception that is raised while a weak reference is cleaned up, and
    SQLAlchemy cleans up hundreds whenever the study is read: whoever reads it in a loop has to look
    at the event.
    """
    heard = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield heard
        return

    def handle(number: int, frame: FrameType | None) -> None:
        heard.set()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield heard
    finally:
        signal.signal(signal.SIGINT, before)


class Crew:
    """The worker processes of this start, each replaced when it dies.

    Args:
        job: What all of them do.
        count: How many.
    """

    def __init__(self, job: Job, count: int) -> None:
        self.job = job
        self.gpus = [str(index) for index in range(torch.cuda.device_count())]
        if self.gpus and os.environ.get('CUDA_VISIBLE_DEVICES'):
            self.gpus = os.environ['CUDA_VISIBLE_DEVICES'].split(',')
        self.deaths = 0
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        for index in range(count):
            self._start(index)

    def _start(self, index: int) -> None:
        env = {**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, sys.path))}
        if self.gpus:
            env['CUDA_VISIBLE_DEVICES'] = self.gpus[index % len(self.gpus)]
        # In a session of its own: Ctrl-C in a terminal is for this process, which ends its workers.
        process = subprocess.Popen(WORKER, stdin=subprocess.PIPE, env=env, start_new_session=True)
        self.processes[index] = process
        with suppress(BrokenPipeError), process.stdin as pipe:
            pickle.dump(replace(self.job, worker=index), pipe)

    def tend(self) -> bool:
        """Replace workers that died; False once none is left."""
        for index, process in list(self.processes.items()):
            if process.poll() is None:
                continue
            del self.processes[index]
            if process.returncode in (0, GAVE_UP):
                continue
            self.deaths += 1
            again = self.deaths < MAX_DEATHS
            more = '; another takes its place' if again else ''
            print_log(f'worker {index} died (status {process.returncode}){more}', 'current')
            if again:
                self._start(index)
        return bool(self.processes)

    def dismiss(self, wait: bool) -> None:
        """End the workers; with ``wait`` they end by themselves."""
        for process in self.processes.values():
            if not wait:
                process.terminate()
            process.wait()


def _work(study: Study, watch: Watch, job: Job, workers: int) -> None:
    """Let workers train until the study is complete or all of them have given up."""
    if len(finished_trials(study)) >= job.target:
        return
    complete = False
    with _interrupts() as heard:
        crew = Crew(job, workers)
        try:
            complete = _tend(study, watch, job, crew, heard)
        finally:
            crew.dismiss(wait=complete)


def _tend(study: Study, watch: Watch, job: Job, crew: Crew, heard: threading.Event) -> bool:
    """Replace dead workers and show progress; whether the study was completed."""
    done = len(finished_trials(study))
    looked = time.monotonic()
    with tqdm(total=job.target, initial=done, desc='cells', unit='cell') as bar:
        while done < job.target:
            time.sleep(POLL)
            if heard.is_set():
                raise KeyboardInterrupt
            alive = crew.tend()
            found = finished_trials(study)
            if len(found) > done:
                best = max(t.user_attrs['miou'] for t in found)
                bar.set_postfix(best_mIoU=f'{best:.2f}', refresh=False)
                bar.update(len(found) - done)
                done = len(found)
                crew.deaths = 0
            elif not alive:
                return False
            if time.monotonic() - looked > job.settings.heartbeat:
                # A worker may wait for a trial whose own worker is dead.
                watch.look()
                looked = time.monotonic()
    return True


def run_search(
    cfg: Config, storage: str, study_name: str, workers: int, trials: int, work_dir: str | Path
) -> dict[str, Any]:
    """Search until the study holds ``trials`` finished trials, and write the report.

    Run again to go on, with more ``trials`` to search further; run on other machines with the same
    storage to share the work. Of several launchers with one work directory, the first writes the
    results.

    Args:
        cfg: A training config with a ``dpc_search`` dict.
        storage: Database URL, or the path of a SQLite file.
        study_name: Name of the study in that storage.
        workers: Processes to start here.
        trials: Finished trials wanted in all, over all starts and machines.
        work_dir: For results and the workers' files.

    Returns:
        What `write_study_report` returns; empty where another launcher writes the results.

    Raises:
        ValueError: Bad settings, an unreachable storage, a study of other settings, a work
            directory that another run holds.
        RuntimeError: All workers of this start ended before the study was complete.
    """
    check_whole(1, **{'--workers': workers, '--trials': trials})
    settings = SearchSettings.from_config(cfg)
    proxy = ProxySettings.from_config(cfg.dpc_search.get('proxy'))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    opened = open_storage(storage)
    if study_name in optuna.get_all_study_names(opened):
        # Before pretraining and caching, which take long.
        stated = cfg.to_dict()
        check_fingerprint(
            optuna.load_study(study_name=study_name, storage=opened),
            settings_fingerprint(settings, proxy, stated['model'], stated['val_evaluator']),
        )
    target = min(trials, settings.space.count_distinct)
    if target < trials:
        print_log(f'searching all of the space: {counted(target, "distinct cell")}', 'current')
    work_dir = Path(work_dir)
    with ExitStack() as stack:
        writes = _hold(stack, work_dir, study_name)
        if settings.retrain:
            check_retrain(settings.retrain, work_dir)
        task = prepare_task(cfg)
        study = open_study(
            opened, study_name, settings.directions, search_fingerprint(settings, task)
        )
        if writes:
            claim_results(work_dir, study_name)
        watch = Watch(study, opened, settings.grace)
        before = len(finished_trials(study))
        print_log(
            f'study {study_name!r} in {shown_url(storage_url(storage))}: {before} of '
            f'{counted(target, "trial")} finished, {settings.space.count:.3g} cells in the space',
            'current',
        )
        threads = max(1, (os.cpu_count() or 1) // workers)
        what = dict(settings=settings, task=task, storage=storage, study=study_name, target=target)
        job = Job(**what, work_dir=str(work_dir), worker=0, threads=threads, parent=os.getpid())
        start = time.monotonic()
        try:
            _work(study, watch, job, workers)
        finally:
            found = finished_trials(study)
            writes = writes or _hold(stack, work_dir, study_name)
            result = write_study_report(study, settings, work_dir) if found and writes else {}
    if len(found) < target:
        errors = [t.user_attrs['error'] for t in study.get_trials() if 'error' in t.user_attrs]
        why = f' The last error was: {errors[-1]}' if errors else ''
        raise RuntimeError(
            f'all workers ended with {len(found)} of {counted(target, "trial")} finished.{why} '
            'What is finished is kept: the same command goes on'
        )
    if result:
        cost = '\n'.join(cost_of(task, result['best']).lines())
        print_log(f'the best cell on features of {task.feature_size}:\n{cost}', 'current')
    new, seconds = counted(len(found) - before, 'trial'), time.monotonic() - start
    print_log(f'{new} in {seconds:.0f} s since this start, {len(found)} in all', 'current')
    return result


def _hold(stack: ExitStack, work_dir: Path, study_name: str) -> bool:
    """Hold the work directory; False if another launcher of the same study does."""
    try:
        stack.enter_context(lock_work_dir(work_dir))
    except ValueError as error:
        if not holds_results_of(work_dir, study_name):
            raise
        print_log(f'{error}: that launcher writes the results', 'current')
        return False
    return True
