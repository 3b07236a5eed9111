"""The pool of scoring processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from reference.processes import lives, waited_for

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


@pytest.mark.slow
@pytest.mark.skipif(not Path('/proc/self/stat').exists(), reason='needs /proc')
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
        assert workers and all(map(lives, workers))
    finally:
        program.kill()
        program.wait()
    assert waited_for(lambda: not any(map(lives, workers)), 30)
