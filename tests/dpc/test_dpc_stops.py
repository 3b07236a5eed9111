"""A search whose processes stand still, are interrupted, or lose their launcher."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
import weakref
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest
from optuna.trial import TrialState
from reference.processes import lives, waited_for

import mmseg_sparsemask.dpc.search as search_module
from mmseg_sparsemask.dpc.storage import open_storage
from mmseg_sparsemask.dpc.study import finished_trials

ROOT = Path(__file__).parents[2]
GRACE = 3


class Search:
    """A running search with two workers, in a session of its own, and its study."""

    def __init__(self, config, folder, trials, iterations):
        self.database = folder / 'study.db'
        storage = str(self.database)
        command = [
            *(sys.executable, str(ROOT / 'tools/dpc_search.py'), config.filename),
            *('--storage', storage, '--study-name', 's', '--work-dir', str(folder / 'work')),
            *('--workers', '2', '--trials', str(trials), '--cfg-options'),
            f'dpc_search.proxy.cache_dir={folder / "cache"}',
            f'dpc_search.proxy.max_iters={iterations}',
            f'dpc_search.proxy.val_interval={iterations}',
            'dpc_search.heartbeat=1',
            f'dpc_search.grace={GRACE}',
        ]
        self.process = subprocess.Popen(
            command,
            env={**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.study = optuna.create_study(
            storage=open_storage(storage), study_name='s', direction='maximize'
        )

    def workers(self, seconds=200):
        """Process ids of both workers, once each has a cell in training."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.process.communicate()[0]
            busy = {
                int(trial.user_attrs['worker'].split(':')[1])
                for trial in self.study.get_trials(deepcopy=False)
                if trial.state == TrialState.RUNNING and 'hash' in trial.user_attrs
            }
            if len(busy) == 2:
                return sorted(busy)
            time.sleep(0.1)
        raise AssertionError('the workers did not begin')

    def stand_still(self, pid):
        """Stop a process, but not in a transaction: the database would stand still with it."""
        while True:
            os.kill(pid, signal.SIGSTOP)
            try:
                with closing(sqlite3.connect(self.database, timeout=5)) as connection:
                    connection.execute('BEGIN IMMEDIATE')
                return
            except sqlite3.OperationalError:
                os.kill(pid, signal.SIGCONT)
                time.sleep(0.1)

    def end(self):
        """What the search printed."""
        return self.process.communicate(timeout=200)[0]


@pytest.fixture
def search(tiny, tmp_path):
    started = []

    def start(**more):
        started.append(Search(tiny, tmp_path, **more))
        return started[-1]

    yield start
    for one in started:
        try:
            os.killpg(one.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        one.process.wait()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
def test_a_worker_that_stood_still_goes_on(search):
    """Its trial is given to another; its own result then is one too many, and no error."""
    running = search(trials=4, iterations=60)
    victim = running.workers()[0]
    running.stand_still(victim)
    failed = waited_for(
        lambda: [t for t in running.study.get_trials() if t.state == TrialState.FAIL], 100
    )
    os.kill(victim, signal.SIGCONT)
    output = running.end()
    assert failed and running.process.returncode == 0, output
    assert 'Traceback' not in output and 'Cannot tell' not in output
    finished = finished_trials(running.study)
    assert len(finished) == 4 == len({t.user_attrs['hash'] for t in finished})


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
def test_interrupted_from_the_keyboard(search):
    """As the terminal does it: the signal reaches launcher and workers at once."""
    running = search(trials=40, iterations=400)
    pids = running.workers()
    os.killpg(running.process.pid, signal.SIGINT)
    output = running.end()
    assert running.process.returncode == 130, output
    assert output.count('interrupted; what is finished is kept') == 1
    assert 'Traceback' not in output and 'KeyboardInterrupt' not in output
    assert waited_for(lambda: not any(map(lives, pids)), 60)


class Forgetful:
    """Interrupts its process while a weak reference to it is cleaned up."""

    def __init__(self):
        self.reference = weakref.ref(self, lambda _: os.kill(os.getpid(), signal.SIGINT))


class StubCrew:
    """Workers that are always there and never done."""

    deaths = 0

    def tend(self):
        return True


@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
def test_an_interrupt_that_python_forgets_is_heard(monkeypatch):
    """KeyboardInterrupt in a callback of a weak reference, as SQLAlchemy has them, goes nowhere."""
    looks = []

    def looking(study):
        looks.append(study)
        if len(looks) == 3:
            victim = Forgetful()
            reference = victim.reference
            del victim
            assert reference() is None
        return []

    monkeypatch.setattr(search_module, 'finished_trials', looking)
    monkeypatch.setattr(search_module, 'POLL', 0)
    settings = SimpleNamespace(heartbeat=1000)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), search_module._interrupts() as heard:
        job = SimpleNamespace(target=5, settings=settings)
        search_module._tend(None, None, job, StubCrew(), heard)
    assert len(looks) == 3
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
def test_workers_end_after_their_launcher(search):
    """They finish the cell in hand and begin no other one."""
    running = search(trials=40, iterations=10)
    pids = running.workers()
    os.kill(running.process.pid, signal.SIGKILL)
    running.process.wait()
    assert waited_for(lambda: not any(map(lives, pids)), 60)
    assert len(finished_trials(running.study)) < 40
