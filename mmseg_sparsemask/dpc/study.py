"""The study: what counts as a finished trial, and who may train which cell.

A trial of the storage is one attempt. It counts as finished when it is COMPLETE and is not the
repeat of another (``repeat_of``).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from mmseg_sparsemask.dpc.storage import PatientStorage

#: How often the trial of a killed worker is run again.
MAX_RETRY = 3


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
        if present is not None and present != value:
            raise ValueError(
                f'the study {study.study_name!r} was started with {key}={present}, this is '
                f'{key}={value}; their scores do not compare. Give another --study-name, or the '
                'same settings (and on another machine the same cache_dir or backbone checkpoint)'
            )


def open_study(
    storage: PatientStorage, name: str, directions: Sequence[str], fingerprint: Mapping[str, Any]
) -> Study:
    """Create a study or join one.

    Args:
        storage: From `open_storage`.
        name: Name of the study.
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


@contextmanager
def signs_of_life(trial: Trial, interval: float) -> Iterator[None]:
    """Note with a trial, every ``interval`` seconds, that its worker is alive; see `Watch`."""
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(interval):
            try:
                trial.set_user_attr('beat', time.time())
            except UpdateFinishedTrialError:
                return  # it was given to another worker

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


class Watch:
    """Fails the trials of dead workers and queues their cells again.

    A worker is dead when its trial shows no new sign of life for ``grace`` seconds, counted here:
    clocks of different machines are not compared.

    Args:
        study: The study.
        storage: Storage of the study.
        grace: In seconds.
    """

    def __init__(self, study: Study, storage: PatientStorage, grace: float) -> None:
        self.study = study
        self.storage = storage
        self.grace = grace
        self._seen: dict[int, tuple[float, float]] = {}

    def look(self) -> None:
        """Look at all running trials; to be called again and again."""
        # A storage may answer and take nothing, signs of life included: whoever only reads it then
        # would find every worker dead.
        self.study.set_user_attr('looked_at', time.time())
        now, before, self._seen = time.monotonic(), self._seen, {}
        for trial in self.study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
            beat = trial.user_attrs.get('beat', 0)
            last, since = before.get(trial.number, (beat, now))
            self._seen[trial.number] = beat, since if beat == last else now
            # While the storage was away nobody could give a sign of life.
            if now - max(self._seen[trial.number][1], self.storage.back) > self.grace:
                self._give_back(trial)

    def _give_back(self, trial: FrozenTrial) -> None:
        try:
            self.study.tell(trial.number, state=TrialState.FAIL)
        except (ValueError, UpdateFinishedTrialError):
            return  # it has finished, or somebody else has given it back
        history = [*trial.system_attrs.get('retry_history', ()), trial.number]
        # A trial whose worker was killed before it had a cell has nothing to run again. A cell
        # drawn only later would stand at a number that trials after it have already looked at.
        if 'hash' in trial.user_attrs and len(history) <= MAX_RETRY:
            noted = {'failed_trial': history[0], 'retry_history': history}
            same = {n: getattr(trial, n) for n in ('params', 'distributions', 'user_attrs')}
            self.study.add_trial(create_trial(state=TrialState.WAITING, **same, system_attrs=noted))


def admitted(study: Study, number: int, target: int) -> bool:
    """Whether a fresh trial fits the ``target``, so that never more than that finish.

    A trial counts all that have finished and all unfinished ones of a lower number. Of any
    ``target + 1`` trials that might finish, the one of the highest number was created last, saw
    all the others, and was turned away.
    """
    trials = study.get_trials(deepcopy=False)
    return target > sum(
        is_finished(t) or (t.number < number and not t.state.is_finished()) for t in trials
    )


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
        others = [t for t in study.get_trials(deepcopy=False) if t.number != number]
        same = [t for t in others if t.user_attrs.get('hash') == cell_hash]
        finished = [t for t in same if is_finished(t)]
        unfinished = [t for t in same if t.number < number and not t.state.is_finished()]
        undecided = any(
            t.number < number and t.state == TrialState.RUNNING and 'hash' not in t.user_attrs
            for t in others
        )
        if finished or unfinished or not undecided or time.monotonic() > deadline:
            return next(iter([*finished, *reversed(unfinished)]), None)
        time.sleep(0.05)
