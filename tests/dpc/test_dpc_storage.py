"""The storage: a queued trial goes to one worker, outages pass, passwords stay hidden."""

import sqlite3
import threading
import time

import optuna
import pytest
import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState
from sqlalchemy.exc import OperationalError

from mmseg_sparsemask.dpc import storage as storage_module
from mmseg_sparsemask.dpc.storage import open_storage, shown_url, storage_url

SECRET = 'hunter2'


def test_a_queued_trial_goes_to_one_worker(tmp_path):
    url = str(tmp_path / 'study.db')
    study = optuna.create_study(storage=open_storage(url, 1, 60), study_name='s')
    for number in range(150):
        study.enqueue_trial({'x': number})
    taken, lock = [], threading.Lock()

    def work():
        own = optuna.load_study(study_name='s', storage=open_storage(url, 1, 60))
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
    opened = open_storage(str(path), 1, 3)
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


def test_an_outage_is_no_reason_to_fail_trials(tmp_path):
    opened = open_storage(str(tmp_path / 'study.db'), 1, 2, announce=False)
    study = optuna.create_study(storage=opened)
    trial = study.ask()
    opened.record_heartbeat(trial._trial_id)
    calls = iter([OperationalError('x', {}, Exception('gone'))] * 6)

    def away():
        for error in calls:
            raise error

    opened.patiently(away)  # three seconds
    assert opened._get_stale_trial_ids(1) == []
    time.sleep(2.5)
    assert opened._get_stale_trial_ids(1) == [trial._trial_id]


def test_a_storage_that_only_answers_is_away(tmp_path):
    """Read-only for three seconds, in which no sign of life could be given."""
    opened = open_storage(str(tmp_path / 'study.db'), 1, 2, announce=False)
    trial = optuna.create_study(storage=opened).ask()
    opened.record_heartbeat(trial._trial_id)
    writable = threading.Event()

    # Within a transaction: one that is to write begins as on a disk that has become read-only.
    @sqlalchemy.event.listens_for(opened.engine, 'checkout')
    def allow(connection, *_):
        connection.execute('PRAGMA query_only = OFF')

    @sqlalchemy.event.listens_for(opened.engine, 'begin')
    def restrict(connection):
        connection.exec_driver_sql(f'PRAGMA query_only = {"OFF" if writable.is_set() else "ON"}')

    release = threading.Timer(3, writable.set)
    release.start()
    assert len(opened.get_all_trials(1)) == 1  # it answers
    time.sleep(2.5)
    assert opened._get_stale_trial_ids(1) == []
    assert writable.is_set()
    time.sleep(2.5)
    assert opened._get_stale_trial_ids(1) == [trial._trial_id]


def test_patience_ends(tmp_path):
    opened = open_storage(str(tmp_path / 'study.db'), 1, 3, patience=1, announce=False)

    def away():
        raise OperationalError('x', {}, Exception('gone'))

    with pytest.raises(OperationalError):
        opened.patiently(away)
    with pytest.raises(KeyError):  # not an outage: no second try
        opened.patiently(lambda: {}['x'])


def test_what_lasts_is_no_outage(tmp_path):
    """A file that lost a table is an error at once, not after minutes."""
    storage = open_storage(str(tmp_path / 'study.db'), 1, 3, patience=60)
    study = optuna.create_study(storage=storage)
    with storage.engine.connect() as connection:
        connection.exec_driver_sql('DROP TABLE trials')
        connection.commit()
    start = time.monotonic()
    with pytest.raises(StorageInternalError):
        study.ask()
    assert time.monotonic() - start < 10


def test_a_worker_killed_before_its_first_sign_of_life(tmp_path):
    """Optuna leaves such a trial running for ever."""
    opened = open_storage(str(tmp_path / 'study.db'), 1, 2)
    study = optuna.create_study(storage=opened)
    study.enqueue_trial({'x': 1}, user_attrs={'hash': 'a'})
    study.ask()
    study.ask()
    assert opened._get_stale_trial_ids(study._study_id) == []
    time.sleep(2.2)
    optuna.storages.fail_stale_trials(study)
    # The one with a cell is queued again, the other has nothing to run again.
    states = [t.state for t in study.get_trials()]
    assert states == [TrialState.FAIL, TrialState.FAIL, TrialState.WAITING]
    assert study.get_trials()[2].user_attrs == {'hash': 'a'}


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
    ],
)
def test_what_is_no_url(text, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message) as error:
        open_storage(text)
    assert SECRET not in str(error.value)
    assert not list(tmp_path.iterdir())
