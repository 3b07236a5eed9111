"""Kill workers and take the database away, again and again, and count what came of it.

    python tests/dpc/stress.py sqlite --kills 20 --outages 10
    python tests/dpc/stress.py postgresql --kills 20 --outages 10

The real launcher and real workers, with a training that is a short sleep. The PostgreSQL server is
one of its own, from /usr/lib/postgresql. Not a part of the tests: it takes minutes.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import itertools
import json
import os
import pwd
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mmengine.config import Config
from optuna.trial import TrialState

from mmseg_sparsemask.dpc import search, worker
from mmseg_sparsemask.dpc.proxy import ProxyResult, ProxyTask
from mmseg_sparsemask.dpc.settings import ProxySettings
from mmseg_sparsemask.dpc.storage import open_storage

HEARTBEAT, GRACE = 1, 6
#: Seconds of an outage: far longer than the grace period.
OUTAGE = 20


def stub_worker():
    """What a worker process runs here: the real worker, with another training."""

    def train(task, cell, work_dir, report):
        time.sleep(0.5)
        with open(Path(work_dir).parents[2] / 'trained.log', 'a') as file:
            file.write(f'{cell.hash}\n')
        return ProxyResult(miou=1.0, curve=((1, 1.0),), seconds=0.5)

    worker.train_cell = train
    worker.measure_latency = lambda task, cell: 1.0
    worker.main()


def run_once(folder, storage, trials):
    """One start of the search, in this process."""
    cache = folder / 'cache'
    cache.mkdir(exist_ok=True)
    (cache / 'meta.json').write_text(
        json.dumps(
            dict(
                key='k',
                length=1,
                channels=8,
                feature_size=[4, 4],
                metainfo={},
                fingerprint={},
                files={},
            )
        )
    )
    head = dict(type='DPCHead', in_channels=8, channels=8)
    task = ProxyTask(dict(decode_head=head), {}, ProxySettings(), str(cache), str(cache))
    search.prepare_task = lambda cfg: task
    search.WORKER = [sys.executable, __file__, 'worker']
    config = Config(dict(dpc_search=dict(heartbeat=HEARTBEAT, grace=GRACE)))
    search.run_search(config, storage, 's', 3, trials, folder / 'work')


@contextlib.contextmanager
def sqlite_server(folder):
    """URL, and a function that in turn locks the file and makes it read-only for some seconds."""
    inside = folder / 'database'
    inside.mkdir(exist_ok=True)
    path = inside / 'study.db'
    modes = itertools.cycle(['locked', 'read-only'])

    def immutable(flag):
        # Permissions do not bind root. The folder too, or the journal is written beside.
        subprocess.run(['chattr', flag, path, inside], check=True)

    def away(seconds):
        if next(modes) == 'read-only':
            immutable('+i')
            try:
                time.sleep(seconds)
            finally:
                immutable('-i')
            return
        connection = sqlite3.connect(path, timeout=60, isolation_level=None)
        connection.execute('BEGIN EXCLUSIVE')
        time.sleep(seconds)
        connection.execute('ROLLBACK')
        connection.close()

    yield str(path), away


@contextlib.contextmanager
def postgresql_server(folder):
    """URL, and a function that stops the server for some seconds."""
    binaries = sorted(Path('/usr/lib/postgresql').glob('*/bin'))[-1]
    data = folder / 'data'
    prefix = []
    if os.getuid() == 0:
        user = pwd.getpwnam('postgres')
        os.chown(folder, user.pw_uid, user.pw_gid)
        prefix = ['runuser', '-u', 'postgres', '--']
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    options = f'-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}'

    def call(*arguments):
        subprocess.run([*prefix, *arguments], check=True, cwd='/', stdout=subprocess.DEVNULL)

    def control(*arguments):
        call(binaries / 'pg_ctl', '-D', data, '-w', *arguments)

    def away(seconds):
        control('-m', 'immediate', 'stop')
        time.sleep(seconds)
        control('-o', options, '-l', folder / 'log', 'start')

    call(binaries / 'initdb', '-A', 'trust', '-U', 'dpc', data)
    control('-o', options, '-l', folder / 'log', 'start')
    try:
        yield f'postgresql+psycopg://dpc@127.0.0.1:{port}/postgres', away
    finally:
        control('-m', 'immediate', 'stop')


def workers_of(process):
    """Process ids of the living workers of a launcher."""
    try:
        children = Path(f'/proc/{process.pid}/task/{process.pid}/children').read_text().split()
        return [
            int(child)
            for child in children
            if b'stress.py' in Path(f'/proc/{child}/cmdline').read_bytes()
        ]
    except OSError:
        return []


def storm(folder, storage, away, kills, outages, seed):
    """All events in a random order, then the search to its end."""
    rng = random.Random(seed)
    events = ['kill'] * kills + ['outage'] * outages
    rng.shuffle(events)
    trials, starts, launcher_kills, before = 20, 0, 0, 0
    seen, process = {}, None
    output = open(folder / 'output.log', 'a')  # noqa: SIM115
    reader = open_storage(storage, announce=False)

    def finished():
        try:
            study = reader.get_study_id_from_name('s')
        except KeyError:
            return {}
        return {
            t.number: (t.user_attrs['hash'], t.values)
            for t in reader.get_all_trials(study)
            if t.state == TrialState.COMPLETE and 'repeat_of' not in t.user_attrs
        }

    def start():
        command = [sys.executable, __file__, 'once', '--folder', folder, '--storage', storage]
        return subprocess.Popen(
            [*command, '--trials', str(trials)], stdout=output, stderr=subprocess.STDOUT
        )

    while events or process is None or process.poll() != 0:
        if process is None or process.poll() is not None:
            if events and len(finished()) >= trials:
                trials += 20
            starts += 1
            before = len(finished())
            process = start()
        if not events:
            time.sleep(0.2)
            continue
        time.sleep(rng.uniform(1, 4))
        victims = workers_of(process)
        # Workers that train, not ones that are still importing.
        if not victims or len(finished()) == before:
            continue
        event = events.pop()
        seen.update(finished())
        if event == 'outage':
            away(OUTAGE)
        elif rng.random() < 0.2:
            launcher_kills += 1
            for victim in [process.pid, *victims]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)
            process.wait()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(rng.choice(victims), signal.SIGKILL)
        print(f'{event}: {len(seen)} of {trials} finished, {len(events)} to come', flush=True)
    found = finished()
    hashes = collections.Counter(cell for cell, _ in found.values())
    trained = collections.Counter((folder / 'trained.log').read_text().split())
    states = collections.Counter(t.state.name for t in reader.get_all_trials(1))
    text = (folder / 'output.log').read_text()
    return {
        'kills': kills,
        'of them launcher and all workers': launcher_kills,
        'outages': outages,
        'starts': starts,
        'wanted': trials,
        'finished': len(found),
        'distinct cells': len(hashes),
        'finished trials lost or changed': sum(found.get(n) != value for n, value in seen.items()),
        'cells finished twice': sum(count > 1 for count in hashes.values()),
        'trainings that ended beyond one a cell': sum(trained.values()) - len(trained),
        'states': dict(states),
        'tracebacks': text.count('Traceback'),
        'lines on outages': text.count('does not answer'),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('database', choices=['sqlite', 'postgresql', 'once', 'worker'])
    parser.add_argument('--kills', type=int, default=20)
    parser.add_argument('--outages', type=int, default=10)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--folder', type=Path)
    parser.add_argument('--storage')
    parser.add_argument('--trials', type=int)
    args = parser.parse_args()
    if args.database == 'worker':
        stub_worker()
        return
    if args.database == 'once':
        run_once(args.folder, args.storage, args.trials)
        return
    folder = args.folder or Path(tempfile.mkdtemp(prefix='dpc_stress_'))
    os.makedirs(folder, exist_ok=True)
    server = sqlite_server if args.database == 'sqlite' else postgresql_server
    with server(folder) as (storage, away):
        counts = storm(folder, storage, away, args.kills, args.outages, args.seed)
    for name, value in counts.items():
        print(f'{name}: {value}')


if __name__ == '__main__':
    main()
