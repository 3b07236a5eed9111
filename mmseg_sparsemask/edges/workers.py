"""Processes for scoring images while the model predicts the next ones."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import cv2
from mmengine.utils import track_iter_progress

from mmseg_sparsemask.utils.child import end_after

_BROKEN = (
    'a process that scores images ended early: out of memory, or the script that was started has '
    "no `if __name__ == '__main__':`. Guard the script, or set num_workers=0 in EdgeMetric"
)


def _start_worker() -> None:
    # Each process has one core to itself.
    cv2.setNumThreads(1)
    # A process that is killed cannot end its pool. Its workers are children of a server.
    parent = multiprocessing.parent_process()
    assert parent is not None
    end_after(parent.join)


def _usable_cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


class WorkerPool:
    """Runs functions in processes of its own, or at once in this one when ``workers`` is 0.

    The processes come from a server that is started afresh, not from a fork of a process that may
    hold threads or a GPU. They start with the first task and import the main script, which
    therefore must run nothing unless ``__name__ == '__main__'``.

    Args:
        workers: Number of processes; None takes one for each core that this process may use, 16 at
            most, and none for a single core.
        preload: Modules the server imports once for all its processes.
        ranks: How many such pools share the machine's cores.

    Raises:
        ValueError: If ``workers`` is negative.
    """

    def __init__(
        self, workers: int | None = None, preload: Sequence[str] = (), ranks: int = 1
    ) -> None:
        if workers is None:
            workers = min(_usable_cores() // ranks, 16)
            workers = workers if workers > 1 else 0
        if workers < 0:
            raise ValueError(f'expected a number of processes of at least 0, got {workers}')
        self.workers = workers
        self.preload = list(preload)
        self._executor: ProcessPoolExecutor | None = None

    def submit(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
        """Schedule a call; all of it must be picklable when there are processes."""
        if self.workers == 0:
            done: Future[Any] = Future()
            done.set_result(function(*args, **kwargs))
            return done
        if self._executor is None:
            methods = multiprocessing.get_all_start_methods()
            kind = 'forkserver' if 'forkserver' in methods else 'spawn'
            context = multiprocessing.get_context(kind)
            if kind == 'forkserver':
                context.set_forkserver_preload(self.preload)
            self._executor = ProcessPoolExecutor(
                self.workers, mp_context=context, initializer=_start_worker
            )
        try:
            return self._executor.submit(function, *args, **kwargs)
        except BrokenProcessPool as error:
            raise RuntimeError(_BROKEN) from error

    def close(self) -> None:
        """End the processes; tasks not yet begun are dropped."""
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)
            self._executor = None


def gather(futures: list[Future[Any]], progress: bool) -> list[Any]:
    """Wait for all results, in order.

    Args:
        futures: What `WorkerPool.submit` returned.
        progress: Show a bar with the time left, unless everything is done already.

    Raises:
        RuntimeError: If a process died.
        Exception: The first one that a task raised.
    """
    show = progress and not all(future.done() for future in futures)
    try:
        return [future.result() for future in (track_iter_progress(futures) if show else futures)]
    except BrokenProcessPool as error:
        raise RuntimeError(_BROKEN) from error
