"""The study: storage, what counts as a finished trial, and who may train which cell.

A trial of the storage is one attempt. It counts as finished when it is COMPLETE and is not the
repeat of another (``repeat_of``).
"""

from __future__ import annotations

import inspect
import re
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy.exc
from optuna.storages import RDBStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

MAX_RETRY = 3
"""How often the trial of a killed worker is run again."""


def storage_url(storage: str) -> str:
    """A storage as given by a user: a database URL, or the path of a SQLite file."""
    if '://' in storage:
        return storage
    Path(storage).parent.mkdir(parents=True, exist_ok=True)
    return f'sqlite:///{storage}'


def open_storage(storage: str, heartbeat: int = 10, grace: int = 30) -> RDBStorage:
    """Open or create a storage whose dead trials are noticed and run again.

    Args:
        storage: A database URL (``sqlite:///...``, ``postgresql://...``, ``mysql://...``), or the
            path of a SQLite file.
        heartbeat: Seconds between two signs of life of a running trial.
        grace: Seconds without one after which a trial is failed and queued again.

    Returns:
        The storage.

    Raises:
        ValueError: It cannot be reached, or its driver is not installed.
    """
    if heartbeat < 1 or grace <= heartbeat:
        raise ValueError(
            f'grace must be larger than heartbeat, and that at least 1 s, got {grace} and '
            f'{heartbeat}'
        )
    url = storage_url(storage)
    shown = re.sub(r'//([^:/@]*):[^@]*@', r'//\1:***@', url)
    engine: dict[str, Any] = {'pool_pre_ping': True}
    if url.startswith('sqlite'):
        # Several workers write to one file: wait for the lock.
        engine['connect_args'] = {'timeout': 60}
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        names = inspect.signature(RDBStorage.__init__).parameters
        if 'heartbeat_stale_trial_callback' in names:
            retry = optuna.storages.RetryHeartbeatStaleTrialCallback(max_retry=MAX_RETRY)
            callback = {'heartbeat_stale_trial_callback': retry}
        else:  # Optuna before 4.9
            retry = optuna.storages.RetryFailedTrialCallback(max_retry=MAX_RETRY)
            callback = {'failed_trial_callback': retry}
        error: Exception | None = None
        for attempt in range(3):
            try:
                return RDBStorage(
                    url,
                    engine_kwargs=engine,
                    heartbeat_interval=heartbeat,
                    grace_period=grace,
                    **callback,
                )
            except ImportError as missing:
                raise ValueError(
                    f'the storage {shown} needs a database driver that is not installed: '
                    f'{missing}; for PostgreSQL install psycopg[binary], for MySQL pymysql'
                ) from None
            except sqlalchemy.exc.ArgumentError:
                raise ValueError(
                    f'{shown} is no database URL; expected e.g. sqlite:///search.db or '
                    'postgresql://user:password@host/database'
                ) from None
            except sqlalchemy.exc.SQLAlchemyError as failed:
                # Two machines that create the tables of an empty database at once: try again.
                error = failed
                if attempt < 2:
                    time.sleep(0.5 * (attempt + 1))
    reason = str(getattr(error, 'orig', None) or error).strip().splitlines()[0]
    raise ValueError(
        f'cannot reach the storage {shown}: {reason}. Check the URL, the server and the rights; '
        'nothing was changed'
    ) from error


def open_study(
    storage: RDBStorage, name: str, directions: Sequence[str], identity: Mapping[str, Any]
) -> Study:
    """Create a study or join one.

    Args:
        storage: From `open_storage`.
        name: Of the study.
        directions: ``maximize`` or ``minimize`` per objective.
        identity: What must be equal for scores to compare (space, objectives, proxy task, keys of
            the caches); JSON values. Kept with a new study, compared with a present one.

    Raises:
        ValueError: The present study is of another identity.
    """
    study = optuna.create_study(
        storage=storage, study_name=name, directions=list(directions), load_if_exists=True
    )
    for key, value in identity.items():
        present = study.user_attrs.get(key)
        if present is None:
            study.set_user_attr(key, value)
        elif present != value:
            raise ValueError(
                f'the study {name!r} was started with {key}={present}, this is {key}={value}; '
                'their scores do not compare. Give another --study-name, or the same settings '
                '(and on another machine the same cache_dir or backbone checkpoint)'
            )
    return study


def is_finished(trial: FrozenTrial) -> bool:
    """Whether a trial counts: it was trained and scored, and repeats no other."""
    return trial.state == TrialState.COMPLETE and 'repeat_of' not in trial.user_attrs


def finished_trials(study: Study) -> list[FrozenTrial]:
    """Trials that count, oldest first."""
    return [t for t in study.get_trials(deepcopy=False) if is_finished(t)]


def running_count(study: Study) -> int:
    """How many trials are running, dead ones not yet noticed included."""
    return sum(t.state == TrialState.RUNNING for t in study.get_trials(deepcopy=False))


def fail_stale(study: Study) -> None:
    """Fail the trials of dead workers and queue them again."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        optuna.storages.fail_stale_trials(study)


def admitted(study: Study, number: int, target: int) -> bool:
    """Whether a fresh trial fits the ``target``, so that never more than that finish.

    A trial counts all that have finished and all unfinished ones of a lower number. Of any
    ``target + 1`` trials that might finish, the one of the highest number was created last, saw
    all the others, and was turned away.
    """
    ahead = 0
    for other in study.get_trials(deepcopy=False):
        waiting = other.state in (TrialState.RUNNING, TrialState.WAITING) and other.number < number
        ahead += is_finished(other) or waiting
    return ahead < target


def earlier_trial(
    study: Study, number: int, cell_hash: str, patience: float = 60.0
) -> FrozenTrial | None:
    """The trial that has finished this cell, or has it with a lower number; else None.

    The caller has stored its own hash before. Trials of lower numbers may not have: running ones
    are waited for, ``patience`` seconds at most (a worker may have been killed just there), queued
    ones carry theirs from the queue. So of two trials with one cell exactly the one of the lower
    number trains it, also when it waited in the queue while the other began.
    """
    deadline = time.monotonic() + patience
    while True:
        undecided = False
        unfinished = None
        for other in study.get_trials(deepcopy=False):
            if other.number == number:
                continue
            same = other.user_attrs.get('hash') == cell_hash
            if same and is_finished(other):
                return other
            if other.number > number:
                continue
            if same and other.state in (TrialState.RUNNING, TrialState.WAITING):
                unfinished = other
            if other.state == TrialState.RUNNING:
                undecided |= 'hash' not in other.user_attrs
        if unfinished is not None or not undecided or time.monotonic() > deadline:
            return unfinished
        time.sleep(0.05)
