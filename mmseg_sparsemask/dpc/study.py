"""The study: what counts as a finished trial, and who may train which cell.

A trial of the storage is one attempt. It counts as finished when it is COMPLETE and is not the
repeat of another (``repeat_of``).
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from mmseg_sparsemask.dpc.settings import RENAMED


def attributes(trial: FrozenTrial) -> dict[str, Any]:
    """What is noted with a trial, under today's names (see `settings.RENAMED`)."""
    return {RENAMED.get(name, name): value for name, value in trial.user_attrs.items()}


def check_fingerprint(study: Study, fingerprint: Mapping[str, Any]) -> None:
    """Make sure that a study's scores compare with those of a search.

    Args:
        study: The study.
        fingerprint: What must be equal for scores to compare; JSON values.

    Raises:
        ValueError: The study is of another fingerprint.
    """
    for key, value in fingerprint.items():
        present = study.user_attrs.get(key)
        if key == 'objectives' and present is not None:
            present = [RENAMED.get(name, name) for name in present]
        if present is not None and present != value:
            raise ValueError(
                f'the study {study.study_name!r} was started with {key}={present}, this is '
                f'{key}={value}; their scores do not compare. Give another --study-name, or the '
                'same settings (and on another machine the same cache_dir or backbone checkpoint)'
            )


def open_study(
    storage: RDBStorage, name: str, directions: Sequence[str], fingerprint: Mapping[str, Any]
) -> Study:
    """Create a study or join one.

    Args:
        storage: From `open_storage`.
        name: Of the study.
        directions: ``maximize`` or ``minimize`` per objective.
        fingerprint: See `check_fingerprint`; kept with a new study, compared with a present one.

    Raises:
        ValueError: The present study is of another fingerprint.
    """
    study = optuna.create_study(
        storage=storage, study_name=name, directions=list(directions), load_if_exists=True
    )
    check_fingerprint(study, fingerprint)
    for key in fingerprint.keys() - study.user_attrs.keys():
        study.set_user_attr(key, fingerprint[key])
    return study


def is_finished(trial: FrozenTrial) -> bool:
    """Whether a trial counts: it was trained and scored, and repeats no other."""
    return trial.state == TrialState.COMPLETE and 'repeat_of' not in trial.user_attrs


def finished_trials(study: Study) -> list[FrozenTrial]:
    """Trials that count, oldest first."""
    return [t for t in study.get_trials(deepcopy=False) if is_finished(t)]


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
