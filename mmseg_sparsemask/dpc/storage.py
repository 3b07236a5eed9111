"""The database of a search: opened as a user gives it, patient with outages, silent on passwords.

Everything that the search does to a database goes through `PatientStorage`.
"""

from __future__ import annotations

import functools
import inspect
import re
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from mmengine.logging import print_log
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import Study
from optuna.trial import FrozenTrial
from sqlalchemy import exc
from sqlalchemy.engine import URL, Connection, make_url

#: How often the trial of a killed worker is run again.
MAX_RETRY = 3
#: Seconds for which a storage that does not answer is asked again.
PATIENCE = 600.0
#: The environment variable that names the storage when ``--storage`` does not.
STORAGE_VARIABLE = 'SPARSEMASK_STORAGE'

_OUTAGES = (exc.OperationalError, exc.InterfaceError, exc.InternalError, exc.PendingRollbackError)
#: What SQLite says with the same kind of error where asking again is of no use.
_LASTING = re.compile('no such (table|column)|syntax error')
_SECRET = re.compile('pass|pwd|secret|token', re.IGNORECASE)


def storage_url(storage: str) -> URL:
    """A storage as given by a user: a database URL, or the path of a SQLite file.

    Raises:
        ValueError: Neither; the message holds no password.
    """
    if '://' not in storage:
        if re.match(r'[^/]+:.*@', storage):
            raise ValueError(
                'the storage has a user and a host but no scheme; expected e.g. '
                'postgresql://user:password@host/database'
            )
        return URL.create('sqlite', database=storage)
    scheme = storage.split('://')[0]
    try:
        url = make_url(storage)
    except (exc.ArgumentError, ValueError):
        raise ValueError(
            f'{scheme}://... is no database URL; expected e.g. sqlite:///search.db or '
            'postgresql://user:password@host/database'
        ) from None
    if '@' in (url.host or '') or '@' in (url.database or '').partition('/')[0]:
        raise ValueError(
            f'{scheme}://...: a user name or a password holds a character with a meaning of its '
            'own; write @ as %40, / as %2F and : as %3A'
        )
    return url


def shown_url(url: URL) -> str:
    """A URL for messages: every password in it is ``***``."""
    query = {key: '***' if _SECRET.search(key) else value for key, value in url.query.items()}
    shown = url.set(query=query).render_as_string(hide_password=True)
    return shown.replace('%2A%2A%2A', '***')


def _without_secrets(text: str, url: URL) -> str:
    secrets = [url.password, *(v for k, v in url.query.items() if _SECRET.search(k))]
    for secret in secrets:
        if secret:
            text = text.replace(str(secret), '***')
    return text


def _is_outage(error: BaseException) -> bool:
    """Whether the same call may succeed later."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    if isinstance(cause, _OUTAGES) and _LASTING.search(str(getattr(cause, 'orig', None) or cause)):
        return False
    return isinstance(cause, _OUTAGES) or getattr(cause, 'connection_invalidated', False)


def _reason(error: BaseException | None) -> str:
    cause = getattr(error, '__cause__', None) or error
    return str(getattr(cause, 'orig', None) or cause).strip().splitlines()[0]


def _run_again(
    retry: Callable[[Study, FrozenTrial], None], study: Study, trial: FrozenTrial
) -> None:
    # A trial whose worker was killed before it had a cell has nothing to run again. A cell drawn
    # only later would stand at a number that trials after it have already looked at.
    if 'hash' in trial.user_attrs:
        retry(study, trial)


class PatientStorage(RDBStorage):
    """Optuna's storage, which asks again while the database is away.

    On SQLite every transaction holds the file's write lock from its beginning: Optuna reads a
    queued trial with SELECT FOR UPDATE before it takes it, and SQLite ignores these words, so
    that several workers would take the same one.

    Args:
        url: Of the database.
        patience: Seconds for which a call is repeated.
        announce: Whether to say that the database is away, once for each outage.
        heartbeat: Seconds between two signs of life of a running trial.
        grace: Seconds without one after which a trial is failed and queued again.
    """

    def __init__(
        self, url: URL, patience: float, announce: bool, heartbeat: int, grace: int
    ) -> None:
        self._patience = patience
        self._announce = announce
        self._address = url
        self._away = False
        self._back = -float('inf')
        self._silent: dict[int, float] = {}
        engine: dict[str, Any] = {'pool_pre_ping': True}
        sqlite = url.get_backend_name() == 'sqlite'
        if sqlite:
            # Wait a little for another worker's transaction; after that it counts as an outage.
            engine['connect_args'] = {'timeout': 5, 'isolation_level': None}
        names = inspect.signature(RDBStorage.__init__).parameters
        if 'heartbeat_stale_trial_callback' in names:
            retry = optuna.storages.RetryHeartbeatStaleTrialCallback(max_retry=MAX_RETRY)
            name = 'heartbeat_stale_trial_callback'
        else:  # Optuna before 4.9
            retry = optuna.storages.RetryFailedTrialCallback(max_retry=MAX_RETRY)
            name = 'failed_trial_callback'
        super().__init__(
            url.render_as_string(hide_password=False),
            engine_kwargs=engine,
            heartbeat_interval=heartbeat,
            grace_period=grace,
            **{name: functools.partial(_run_again, retry)},
        )
        if sqlite:
            # SQLAlchemy's recipe: the driver begins no transaction of its own, this does.
            @sqlalchemy.event.listens_for(self.engine, 'begin')
            def begin(connection: Connection) -> None:
                connection.exec_driver_sql('BEGIN IMMEDIATE')

    def patiently(self, call: Callable[[], Any]) -> Any:
        """Call, again and again while the database is away."""
        start = time.monotonic()
        while True:
            try:
                result = call()
                break
            except Exception as error:
                if not _is_outage(error) or time.monotonic() - start > self._patience:
                    raise
                self._back = time.monotonic()
                if self._announce and not self._away:
                    self._away = True
                    reason = _without_secrets(_reason(error), self._address)
                    print_log(
                        f'the storage {shown_url(self._address)} does not answer ({reason}); '
                        f'asking again for up to {self._patience / 60:.0f} minutes',
                        'current',
                    )
                time.sleep(0.5)
        if time.monotonic() - start > min(1.0, self.heartbeat_interval or 1.0):
            self._back = time.monotonic()
        if self._away:
            self._away = False
            print_log('the storage answers again', 'current')
        return result

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        self._write(study_id)
        stale = self.patiently(
            functools.partial(super()._get_stale_trial_ids, study_id)
        ) + self._without_heartbeat(study_id)
        # While the storage was away nobody could give a sign of life.
        assert self.grace_period is not None
        return stale if time.monotonic() - self._back > self.grace_period else []

    def _write(self, study_id: int) -> None:
        """Write what is there already.

        A storage may answer and take nothing, signs of life included; who only reads it then would
        find every worker dead.
        """
        same = sqlalchemy.text('UPDATE studies SET study_name = study_name WHERE study_id = :study')

        def write() -> None:
            with self.engine.begin() as connection:
                connection.execute(same, {'study': study_id})

        self.patiently(write)

    def _without_heartbeat(self, study_id: int) -> list[int]:
        """Trials whose worker was killed before the first sign of life; Optuna leaves them out."""
        query = sqlalchemy.text(
            'SELECT trials.trial_id FROM trials LEFT JOIN trial_heartbeats '
            'ON trials.trial_id = trial_heartbeats.trial_id WHERE trials.study_id = :study '
            "AND trials.state = 'RUNNING' AND trial_heartbeats.trial_id IS NULL"
        )

        def ask() -> list[int]:
            with self.engine.connect() as connection:
                return list(connection.execute(query, {'study': study_id}).scalars())

        now = time.monotonic()
        self._silent = {number: self._silent.get(number, now) for number in self.patiently(ask)}
        assert self.grace_period is not None
        return [number for number, since in self._silent.items() if now - since > self.grace_period]


def _patient(name: str) -> Callable[..., Any]:
    method = getattr(RDBStorage, name)

    @functools.wraps(method)
    def call(self: PatientStorage, *args: Any, **kwargs: Any) -> Any:
        return self.patiently(functools.partial(method, self, *args, **kwargs))

    return call


# The second line: what Optuna's cache in front of a storage calls.
for _name in (
    *BaseStorage.__abstractmethods__,
    *('record_heartbeat', '_create_new_trial', '_set_trial_param', '_get_trials'),
    *('_get_best_trial_id',),
):
    setattr(PatientStorage, _name, _patient(_name))


def open_storage(
    storage: str,
    heartbeat: int = 10,
    grace: int = 30,
    patience: float = PATIENCE,
    first_patience: float = 2.0,
    announce: bool = True,
) -> PatientStorage:
    """Open or create a storage whose dead trials are noticed and run again.

    Args:
        storage: A database URL (``sqlite:///...``, ``postgresql://...``, ``mysql://...``), or the
            path of a SQLite file.
        heartbeat: Seconds between two signs of life of a running trial.
        grace: Seconds without one after which a trial is failed and queued again.
        patience: Seconds for which an open storage is asked again when it does not answer.
        first_patience: The same while opening; two machines that create the tables of an empty
            database at once need a little.
        announce: Whether to say that the storage is away.

    Raises:
        ValueError: It cannot be reached, or its driver is not installed.
    """
    if heartbeat < 1 or grace <= heartbeat:
        raise ValueError(
            f'grace must be larger than heartbeat, and that at least 1 s, got {grace} and '
            f'{heartbeat}'
        )
    url = storage_url(storage)
    if url.get_backend_name() == 'sqlite' and url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    shown = shown_url(url)
    deadline = time.monotonic() + first_patience
    while True:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter('ignore')
                return PatientStorage(url, patience, announce, heartbeat, grace)
        except ImportError as missing:
            raise ValueError(
                f'the storage {shown} needs a database driver that is not installed: '
                f'{missing}; for PostgreSQL install psycopg[binary], for MySQL pymysql'
            ) from None
        except exc.ArgumentError:
            raise ValueError(
                f'{shown} names no kind of database that SQLAlchemy knows; expected e.g. '
                'sqlite:///search.db or postgresql://user:password@host/database'
            ) from None
        except (exc.SQLAlchemyError, StorageInternalError) as failed:
            if time.monotonic() > deadline:
                # The cause would bring the URL as it was given into a traceback.
                raise ValueError(
                    f'cannot reach the storage {shown}: '
                    f'{_without_secrets(_reason(failed), url)}. Check the URL, the server and '
                    'the rights; nothing was changed'
                ) from None
            time.sleep(0.5)
