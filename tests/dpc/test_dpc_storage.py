"""The storage: a queued trial goes to one worker, outages pass, passwords stay hidden."""

import sqlite3
import threading
import time
from types import SimpleNamespace

import optuna
import pytest
import sqlalchemy
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import OperationalError

from mmseg_sparsemask.dpc import storage as storage_module
from mmseg_sparsemask.dpc import study as study_module
from mmseg_sparsemask.dpc.storage import open_storage, shown_url, storage_url
from mmseg_sparsemask.dpc.study import Watch, signs_of_life

SECRET = 'hunter2'


def test_a_queued_trial_goes_to_one_worker(tmp_path):
    url = str(tmp_path / 'study.db')
    study = optuna.create_study(storage=open_storage(url), study_name='s')
    for number in range(150):
        study.enqueue_trial({'x': number})
    taken, lock = [], threading.Lock()

    def work():
        own = optuna.load_study(study_name='s', storage=open_storage(url))
        for _ in range(50):
            number = own.ask().number
            with lock:
                taken.append(number)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(150))


def test_a_locked_file_is_waited_for(tmp_path, monkeypatch):
    path = tmp_path / 'study.db'
    said = []
    monkeypatch.setattr(storage_module, 'print_log', lambda text, logger: said.append(text))
    opened = open_storage(str(path))
    study = optuna.create_study(storage=opened)
    holder = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    holder.execute('BEGIN EXCLUSIVE')
    release = threading.Timer(6.5, lambda: holder.execute('ROLLBACK'))
    release.start()
    study.set_user_attr('a', 1)
    release.join()
    holder.close()
    assert study.user_attrs == {'a': 1}
    assert [text.split()[-1] for text in said] == ['minutes', 'again'] and 'locked' in said[0]


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when they are asked to, or when somebody sleeps."""
    now = SimpleNamespace(time=100.0)

    def sleep(seconds):
        now.time += seconds

    for module in (study_module, storage_module):
        fake = SimpleNamespace(monotonic=lambda: now.time, time=lambda: now.time, sleep=sleep)
        monkeypatch.setattr(module, 'time', fake)
    return sleep


def watched(tmp_path, **attrs):
    """A study with a trial that another process runs, and who watches it: grace of two seconds."""
    opened = open_storage(str(tmp_path / 'study.db'), announce=False)
    study = optuna.create_study(storage=opened)
    trial = study.ask({'x': optuna.distributions.CategoricalDistribution([1])})
    for name, value in attrs.items():
        trial.set_user_attr(name, value)
    return trial, Watch(study, opened, 2)


def states(watch):
    return [t.state.name for t in watch.study.get_trials()]


def test_a_worker_without_a_sign_of_life(tmp_path, clock):
    trial, watch = watched(tmp_path, hash='a')
    for beat in range(4):  # each new, whatever the clock of that machine says
        trial.set_user_attr('beat', -beat)
        watch.look()
        clock(1.5)
    watch.look()
    assert states(watch) == ['RUNNING']
    clock(1)
    watch.look()
    assert states(watch) == ['FAIL', 'WAITING']
    again = watch.study.ask()
    assert (again.params, again.user_attrs['hash']) == ({'x': 1}, 'a')
    noted = watch.study.get_trials()[1].system_attrs
    assert noted == {'failed_trial': 0, 'retry_history': [0]}
    for number in range(1, 5):  # run again three times, then given up
        watch.look()
        clock(2.5)
        watch.look()
        assert states(watch) == ['FAIL'] * (number + 1) + ['WAITING'] * (number < 3)
        if number < 3:
            watch.study.ask()
        else:
            break


def test_a_worker_killed_before_it_had_a_cell(tmp_path, clock):
    """There is nothing to run again."""
    _, watch = watched(tmp_path)
    watch.look()
    clock(2.5)
    watch.look()
    assert states(watch) == ['FAIL']


def test_two_that_watch_give_a_trial_back_once(tmp_path, clock):
    _, first = watched(tmp_path, hash='a')
    opened = open_storage(str(tmp_path / 'study.db'))
    second = Watch(optuna.load_study(study_name=None, storage=opened), opened, 2)
    first.look(), second.look()
    clock(2.5)
    given = second.study.get_trials(deepcopy=False)[0]
    first.look()
    second._give_back(given)  # as it was when the second looked
    assert states(first) == ['FAIL', 'WAITING']


def test_an_outage_is_no_reason_to_fail_trials(tmp_path, clock):
    _, watch = watched(tmp_path, hash='a')
    watch.look()
    calls = iter([OperationalError('x', {}, Exception('gone'))] * 6)

    def away():
        for error in calls:
            raise error

    watch.storage.patiently(away)  # three seconds
    watch.look()
    assert states(watch) == ['RUNNING']
    clock(2.5)
    watch.look()
    assert states(watch) == ['FAIL', 'WAITING']


def test_a_storage_that_only_answers_is_away(tmp_path, clock):
    """Read-only for three seconds, in which no sign of life could be given."""
    _, watch = watched(tmp_path, hash='a')
    watch.look()
    tries = []

    # Within a transaction: one that is to write begins as on a disk that has become read-only.
    @sqlalchemy.event.listens_for(watch.storage.engine, 'checkout')
    def allow(connection, *_):
        connection.execute('PRAGMA query_only = OFF')

    @sqlalchemy.event.listens_for(watch.storage.engine, 'begin')
    def restrict(connection):
        tries.append(connection)
        connection.exec_driver_sql(f'PRAGMA query_only = {"OFF" if len(tries) > 7 else "ON"}')

    assert len(watch.study.get_trials()) == 1  # it answers
    clock(0.1)
    watch.look()
    assert states(watch) == ['RUNNING'] and len(tries) > 7
    clock(2.5)
    watch.look()
    assert states(watch) == ['FAIL', 'WAITING']


def test_signs_of_life_are_given(tmp_path):
    trial, watch = watched(tmp_path, hash='a')
    with signs_of_life(trial, 0.05):
        deadline = time.monotonic() + 20
        while len(trial.user_attrs) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
    assert watch.study.get_trials()[0].user_attrs['beat'] == pytest.approx(time.time(), abs=60)


@pytest.mark.parametrize('name', ['what?', 'run{1}', 'a%20b', 'plain'])
def test_any_path_is_a_path(tmp_path, name):
    path = tmp_path / name / 'study.db'
    optuna.create_study(storage=open_storage(str(path)), study_name='s')
    assert path.is_file() and [p.name for p in tmp_path.iterdir()] == [name]
    url = f'sqlite:///{path}' if name in ('plain', 'run{1}') else str(path)
    assert optuna.get_all_study_names(open_storage(url)) == ['s']


def test_a_connection_made_in_an_outage_is_made_anew(tmp_path, clock, monkeypatch):
    """SQLite opens a file that it must not write for reading, and keeps to that."""
    path = tmp_path / 'study.db'
    optuna.create_study(storage=open_storage(str(path)), study_name='s')
    connect, made = sqlite3.connect, []

    def restricted(database, **options):
        made.append(database)
        if len(made) > 2:
            return connect(database, **options)
        return connect(f'file:{database}?mode=ro', uri=True, **options)

    monkeypatch.setattr(sqlite3, 'connect', restricted)
    study = optuna.load_study(study_name='s', storage=open_storage(str(path), patience=30))
    study.set_user_attr('a', 1)
    assert study.user_attrs == {'a': 1} and len(made) > 2


def test_patience_ends(tmp_path):
    opened = open_storage(str(tmp_path / 'study.db'), patience=1, announce=False)

    def away():
        raise OperationalError('x', {}, Exception('gone'))

    with pytest.raises(OperationalError):
        opened.patiently(away)
    with pytest.raises(KeyError):  # not an outage: no second try
        opened.patiently(lambda: {}['x'])


def test_what_lasts_is_no_outage(tmp_path):
    """A file that lost a table is an error at once, not after minutes."""
    storage = open_storage(str(tmp_path / 'study.db'), patience=60)
    study = optuna.create_study(storage=storage)
    with storage.engine.connect() as connection:
        connection.exec_driver_sql('DROP TABLE trials')
        connection.commit()
    start = time.monotonic()
    with pytest.raises(StorageInternalError):
        study.ask()
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    'url',
    [
        f'postgresql://me:{SECRET}@127.0.0.1:1/x',
        f'postgresql://127.0.0.1:1/x?user=me&password={SECRET}',
        f'postgresql://127.0.0.1:1/x?user=me&sslpassword={SECRET}',
        f'postgresql://me:{SECRET}%40@127.0.0.1:1/x',
    ],
)
def test_passwords_are_masked(url):
    assert SECRET not in shown_url(storage_url(url)) and '***' in shown_url(storage_url(url))
    with pytest.raises(ValueError) as error:
        open_storage(url.replace('postgresql:', 'postgresql+psycopg:'), first_patience=0)
    assert SECRET not in str(error.value) and error.value.__cause__ is None


@pytest.mark.parametrize(
    'text, message',
    [
        (f'me:{SECRET}@host/database', 'no scheme'),
        (f'postgresql://me:x@{SECRET}@host/database', '%40'),
        (f'postgresql://me:{SECRET}@host:port/database', 'is no database URL'),
        (f'nothing://me:{SECRET}@host/x', 'no kind of database|driver'),
        (f'mysql://me:{SECRET}@host/x', r'pip install pymysql, .* mysql\+pymysql://'),
    ],
)
def test_what_is_no_url(text, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message) as error:
        open_storage(text)
    assert SECRET not in str(error.value)
    assert not list(tmp_path.iterdir())
