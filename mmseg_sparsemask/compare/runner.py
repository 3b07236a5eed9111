"""Runs a table: several processes share it, it can be stopped, and it goes on where it was."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from threading import Event

from filelock import FileLock, Timeout

from mmseg_sparsemask.compare.plan import Run, Table
from mmseg_sparsemask.compare.results import append_results, read_results
from mmseg_sparsemask.compare.run_record import read_run
from mmseg_sparsemask.compare.steps import BusyError, Steps
from mmseg_sparsemask.utils.commands import clock, side_by_side

#: Hidden folder of the files that say which runs and searches a process has taken.
TAKEN = '.taken'

#: Seconds until a process for which nothing is left looks again.
POLL = 5.0


class TableRunner:
    """Trains and scores runs of a table, each of which ends with a row of results.

    Every step is a command that a user can type; it is shown before it runs. A training that was
    stopped is resumed, and a row whose results are there is left alone. Several runners, also in
    other processes, may share a table: each takes what no other has taken.

    Args:
        table: The table.
        runs: Those of its runs that are wanted.
        root: Folder of all work directories.
        results: CSV file to add rows to.
        tools: Folder of the tools.
    """

    def __init__(
        self, table: Table, runs: Sequence[Run], root: Path, results: Path, tools: Path
    ) -> None:
        self.table = table
        self.runs = runs
        self.root = root
        self.results = results
        self.tools = tools
        self.stop = Event()
        self._said = ''

    def remaining(self) -> list[Run]:
        """Runs whose row is not there yet."""
        rows = read_results(self.results) if self.results.exists() else []
        known = {(row.group, row.seed) for row in rows}
        return [run for run in self.runs if (run.group(self.table), run.seed) not in known]

    def progress(self, left: Sequence[Run]) -> str:
        """A line on how far the table is and how long it will take."""
        needed = sum(run.entry.iterations for run in left)
        searches = {(run.search, run.search_seed) for run in left if run.search is not None}
        for name, seed in searches:
            if not read_run(self.root / name / f'seed{seed}').get('finished'):
                needed += self.table.searches[name].iterations
        records = [read_run(path.parent) for path in self.root.rglob('run.json')]
        done = [record for record in records if record.get('finished') and record['iterations']]
        iterations, seconds = (sum(r[key] for r in done) for key in ('iterations', 'seconds'))
        eta = clock(needed * seconds / iterations) if iterations else 'not known yet'
        rows = f'{len(self.runs) - len(left)} of {len(self.runs)} rows done'
        return f'{rows}, eta {eta} ({needed:,} iterations)'

    def run(self, processes: int = 1) -> None:
        """Run what has no row yet, until all have one.

        Args:
            processes: Trainings at a time.

        Raises:
            ValueError: A work directory holds another run, or a row cannot be made or added.
            SystemExit: A step failed; the others are ended, too.
        """
        (self.root / TAKEN).mkdir(parents=True, exist_ok=True)
        begun = time.perf_counter()
        steps = Steps(self.table, self.root, self.tools, self.stop)
        side_by_side([partial(self._work, steps)] * processes, self.stop)
        took = clock(time.perf_counter() - begun)
        print(f'\n#### {len(self.runs)} of {len(self.runs)} rows done, {took}')

    def _work(self, steps: Steps) -> None:
        idle = False
        while not self.stop.is_set() and (left := self.remaining()):
            if not idle:
                print(f'\n#### {self.progress(left)}', flush=True)
            if any(self._take(steps, run) for run in left):
                idle = False
                continue
            if not idle:
                print('#### the rest is being run by others', flush=True)
            idle = True
            self.stop.wait(POLL)

    def _take(self, steps: Steps, run: Run) -> bool:
        """Run, unless another process has the run or its search; return whether this was done."""
        try:
            with self._taken(f'{run.entry.name}-seed{run.seed}'):
                if run.search is not None:
                    with self._taken(f'{run.search}-seed{run.search_seed}'):
                        steps.search(run.search, run.search_seed)
                        if run.entry.point:
                            steps.front(run.search, run.search_seed)
                # Another process may have added the row since it was asked for.
                if run in self.remaining():
                    self._add_row(steps, steps.run(run))
        except Timeout:
            return False
        except BusyError as error:
            if str(error) != self._said:
                print(f'#### left for later: {error}', flush=True)
            self._said = str(error)
            return False
        return True

    def _add_row(self, steps: Steps, work_dir: Path) -> None:
        """Add a run's row, which a process of its own makes with the table's number of threads."""
        row = work_dir / 'row.csv'
        row.unlink(missing_ok=True)
        steps.call('results', 'results.py', 'add', work_dir, '--csv', row)
        # Other processes wait here, so this is no place for anything that takes long.
        self.results.parent.mkdir(parents=True, exist_ok=True)
        with self._taken('results', timeout=-1):
            append_results(self.results, read_results(row))

    def _taken(self, name: str, timeout: float = 0) -> FileLock:
        """Context in which no other process has the run or search of a name.

        The operating system holds the lock, so it ends with the process, however that ends. It
        raises a `filelock.Timeout` if another process has it.
        """
        return FileLock(self.root / TAKEN / f'{name}.lock', timeout=timeout)
