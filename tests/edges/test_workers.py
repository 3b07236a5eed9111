"""The pool of scoring processes."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmseg_sparsemask.edges.workers import WorkerPool, gather

ROOT = Path(__file__).parents[2]

SCRIPT = """
import os, time
from mmseg_sparsemask.edges.workers import WorkerPool

def pid():
    time.sleep(0.5)
    return os.getpid()

if __name__ == '__main__':
    pool = WorkerPool(2)
    tasks = [pool.submit(pid) for _ in range(4)]
    print('workers', *{task.result() for task in tasks}, flush=True)
    tasks = [pool.submit(time.sleep, 600) for _ in range(4)]
    time.sleep(600)
"""


def test_without_processes():
    pool = WorkerPool(0)
    assert gather([pool.submit(pow, 2, n) for n in range(3)], progress=True) == [1, 2, 4]
    with pytest.raises(ValueError, match='at least 0, got -1'):
        WorkerPool(-1)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A process that ended may wait for its parent to ask how.
    stat = Path(f'/proc/{pid}/stat')
    return not (stat.exists() and stat.read_text().rsplit(')', 1)[1].split()[0] == 'Z')


@pytest.mark.slow
def test_a_killed_program_leaves_no_workers(tmp_path):
    path = tmp_path / 'script.py'
    path.write_text(SCRIPT)
    program = subprocess.Popen(
        [sys.executable, path],
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        # What libraries print comes first.
        line = next(line for line in program.stdout if line.startswith('workers'))
        workers = [int(pid) for pid in line.split()[1:]]
        assert workers and all(map(alive, workers))
    finally:
        program.kill()
        program.wait()
    end = time.monotonic() + 30
    while any(map(alive, workers)) and time.monotonic() < end:
        time.sleep(0.1)
    assert not [pid for pid in workers if alive(pid)]
