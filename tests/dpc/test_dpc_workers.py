"""Workers that are killed, with real trainings, on SQLite and on PostgreSQL."""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from reference.tiny import free_port

from mmseg_sparsemask.dpc.storage import open_storage
from mmseg_sparsemask.dpc.study import finished_trials, is_finished

ROOT = Path(__file__).parents[2]
ENV = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}


@pytest.fixture(scope='session')
def postgres():
    """URL of an empty database on a server of our own, from Debian's package."""
    found = sorted(Path('/usr/lib/postgresql').glob('*/bin/initdb'))
    if not found:
        pytest.skip('no PostgreSQL server in /usr/lib/postgresql (apt-get install postgresql)')
    driver = next((d for d in ('psycopg', 'psycopg2') if importlib.util.find_spec(d)), None)
    if driver is None:
        pytest.skip('no PostgreSQL driver (pip install "psycopg[binary]")')
    folder = Path(tempfile.mkdtemp(prefix='dpc_pg_'))
    prefix = []
    if os.getuid() == 0:  # the server refuses to run as root
        try:
            user = pwd.getpwnam('postgres')
        except KeyError:
            pytest.skip('running as root and there is no user postgres to run the server as')
        os.chown(folder, user.pw_uid, user.pw_gid)
        prefix = ['runuser', '-u', 'postgres', '--']
    port = free_port()
    binaries, data = found[-1].parent, folder / 'data'
    quiet = dict(check=True, cwd='/', stdout=subprocess.DEVNULL)
    subprocess.run([*prefix, binaries / 'initdb', '-A', 'trust', '-U', 'dpc', data], **quiet)
    options = f'-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}'
    control = [*prefix, binaries / 'pg_ctl', '-D', data, '-w']
    subprocess.run([*control, '-o', options, '-l', folder / 'log', 'start'], **quiet)
    yield f'postgresql+{driver}://dpc@127.0.0.1:{port}/postgres'
    subprocess.run([*control, '-m', 'immediate', 'stop'], **quiet)
    shutil.rmtree(folder, ignore_errors=True)


def launch(config, storage, trials, work_dir, *options):
    command = [
        sys.executable,
        str(ROOT / 'tools' / 'dpc_search.py'),
        str(config),
        *('--storage', storage, '--study-name', 's', '--workers', '2', '--trials', str(trials)),
        *('--work-dir', str(work_dir), *options),
    ]
    return subprocess.Popen(
        command, env=ENV, cwd=work_dir.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip


def wait_for(condition, process, seconds=240):
    """Poll the study until the condition holds; fail if the search ends before."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f'the search ended too early:\n{process.communicate()[0][-3000:]}')
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    process.kill()
    pytest.fail('timed out')


def running(study):
    return [
        t for t in study.get_trials() if t.state == TrialState.RUNNING and 'hash' in t.user_attrs
    ]


def pid(trial):
    return int(trial.user_attrs['worker'].split(':')[1])


def check_killing(config, url, folder):
    """Kill one of two workers, then all, then go on to the end."""
    options = [
        '--cfg-options',
        f'dpc_search.proxy.cache_dir={folder / "cache"}',
        'dpc_search.proxy.max_iters=120',
        'dpc_search.proxy.val_interval=120',
        # Soon noticed, yet longer than a worker of a busy machine may stand still.
        'dpc_search.heartbeat=1',
        'dpc_search.grace=8',
    ]
    work_dir = folder / 'work'
    storage = open_storage(url)
    study = optuna.create_study(storage=storage, study_name='s', direction='maximize')

    search = launch(config, url, 3, work_dir, *options)
    victims = wait_for(lambda: (r := running(study)) and len(r) == 2 and r, search)
    os.kill(pid(victims[0]), signal.SIGKILL)
    output = search.communicate(timeout=300)[0]
    assert search.returncode == 0, output[-3000:]
    trials = study.get_trials()
    assert trials[victims[0].number].state == TrialState.FAIL
    retried = [t for t in trials if t.system_attrs.get('failed_trial') == victims[0].number]
    assert [t.state for t in retried] == [TrialState.COMPLETE]
    assert retried[0].params == victims[0].params
    assert sum(is_finished(t) for t in trials) == 3
    first = {t.number: t.values for t in finished_trials(study)}

    search = launch(config, url, 6, work_dir, *options)
    victims = wait_for(lambda: (r := running(study)) and len(r) == 2 and r, search)
    for process_id in [search.pid, *map(pid, victims)]:
        os.kill(process_id, signal.SIGKILL)
    search.communicate()

    search = launch(config, url, 6, work_dir, *options)
    output = search.communicate(timeout=300)[0]
    assert search.returncode == 0, output[-3000:]
    finished = finished_trials(study)
    assert len(finished) == 6
    assert len({t.user_attrs['hash'] for t in finished}) == 6
    assert {n: v for n, v in first.items()} == {
        t.number: t.values for t in finished if t.number in first
    }
    assert not running(study)
    assert (work_dir / 'results.csv').read_text().count('\n') == 7
    assert (work_dir / 'cell.json').exists() and (work_dir / 'retrain.py').exists()


@pytest.mark.slow
def test_killed_workers_sqlite(tiny, tmp_path):
    check_killing(tiny.filename, str(tmp_path / 'study.db'), tmp_path)


@pytest.mark.slow
def test_killed_workers_postgresql(tiny, tmp_path, postgres):
    check_killing(tiny.filename, postgres, tmp_path)


@pytest.mark.slow
def test_bad_lines_of_the_tools(tiny, tmp_path):
    def run(tool, *arguments):
        out = subprocess.run(
            [sys.executable, str(ROOT / 'tools' / tool), tiny.filename, *arguments],
            env=ENV,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert out.returncode == 1 and 'Traceback' not in out.stderr, out.stderr
        return out.stderr.strip().splitlines()[-1]

    assert '--trials must be a whole number, at least 1' in run('dpc_search.py', '--trials', '0')
    assert 'no study' in run('dpc_rerank.py', '--storage', str(tmp_path / 'empty.db'))
