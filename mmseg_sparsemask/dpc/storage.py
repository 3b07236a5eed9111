"""The database of a search: opened as a user gives it, patient with outages, silent on passwords.

Everything that the search does to a database goes through `PatientStorage`.
"""

from __future__ import annotations

import abc
import functools
import re
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy
from mmengine.logging import print_log
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage, get_storage
from sqlalchemy import exc
from sqlalchemy.engine import URL, Connection, make_url

#: Seconds for which a storage that does not answer is asked again.
PATIENCE = 600.0
#: The environment variable that names the storage when ``--storage`` does not.
STORAGE_VARIABLE = 'SPARSEMASK_STORAGE'

_OUTAGES = (exc.OperationalError, exc.InterfaceError, exc.InternalError, exc.PendingRollbackError)
#: Messages of SQLite after which asking again is of no use; the kind of error is the same.
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


class PatientStorage(BaseStorage):
    """Optuna's storage, which asks again while the database is away.

    On SQLite every transaction holds the file's write lock from its beginning: Optuna reads a
    queued trial with SELECT FOR UPDATE before it takes it, and SQLite ignores these words, so
    that several workers would take the same one.

    Args:
        url: Address of the database.
        patience: Seconds for which a call is repeated.
        announce: Whether to say that the database is away, once for each outage.

    Attributes:
        back: When the database last answered after an outage, as `time.monotonic` counts.
    """

    def __init__(self, url: URL, patience: float, announce: bool) -> None:
        self._patience = patience
        self._announce = announce
        self._address = url
        self._away = False
        self.back = -float('inf')
        # Optuna fills in what stands in braces.
        text = url.render_as_string(hide_password=False).replace('{', '{{').replace('}', '}}')
        engine: dict[str, Any] = {'pool_pre_ping': True}
        sqlite = url.get_backend_name() == 'sqlite'
        if sqlite:
            # Wait a little for another worker's transaction; after that it counts as an outage.
            options = {'timeout': 5, 'isolation_level': None}
            engine['connect_args'] = options
            if url.database and not url.query:
                # SQLAlchemy before 2.1 takes a question mark in a path for the end of the path.
                text = 'sqlite:///study.db'
                engine['creator'] = functools.partial(
                    sqlite3.connect, url.database, check_same_thread=False, **options
                )
        self.engine = (database := RDBStorage(text, engine_kwargs=engine)).engine
        self.database = get_storage(database)  # with Optuna's cache in front
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
                if self._announce and not self._away:
                    self._away = True
                    reason = _without_secrets(_reason(error), self._address)
                    print_log(
                        f'the storage {shown_url(self._address)} does not answer ({reason}); '
                        f'asking again for up to {self._patience / 60:.0f} minutes',
                        'current',
                    )
                # SQLite keeps to reading on a connection that was made while it could not write.
                self.engine.dispose()
                time.sleep(0.5)
        if time.monotonic() - start > 1:
            self.back = time.monotonic()
        if self._away:
            self._away = False
            print_log('the storage answers again', 'current')
        return result


def _patient(name: str) -> Callable[..., Any]:
    def call(self: PatientStorage, *args: Any, **kwargs: Any) -> Any:
        return self.patiently(functools.partial(getattr(self.database, name), *args, **kwargs))

    return call


for _name in BaseStorage.__dict__:
    if not _name.startswith('_'):
        setattr(PatientStorage, _name, _patient(_name))
abc.update_abstractmethods(PatientStorage)


def open_storage(
    storage: str, patience: float = PATIENCE, first_patience: float = 2.0, announce: bool = True
) -> PatientStorage:
    """Open or create a storage.

    Args:
        storage: A database URL (``sqlite:///...``, ``postgresql://...``, ``mysql://...``), or the
            path of a SQLite file.
        patience: Seconds for which an open storage is asked again when it does not answer.
        first_patience: The same while opening; two machines that create the tables of an empty
            database at once need a little.
        announce: Whether to say that the storage is away.

    Raises:
        ValueError: It cannot be reached, or its driver is not installed.
    """
    url = storage_url(storage)
    if url.get_backend_name() == 'sqlite' and url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    shown = shown_url(url)
    deadline = time.monotonic() + first_patience
    while True:
        try:
            return PatientStorage(url, patience, announce)
        except ImportError as missing:
            kind = url.get_backend_name()
            driver = {'postgresql': 'psycopg', 'mysql': 'pymysql'}.get(kind)
            remedy = f'; pip install {driver}, and write the URL as {kind}+{driver}://...'
            remedy = remedy if driver else ''
            raise ValueError(
                f'the storage {shown} needs a database driver that is not installed '
                f'({missing.__cause__ or missing}){remedy}'
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
