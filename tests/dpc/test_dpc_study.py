"""Which of several trials trains a cell, case by case (no workers, no time)."""

import optuna
import pytest
from optuna.trial import TrialState

from mmseg_sparsemask.dpc.study import admitted, earlier_trial, finished_trials

CHOICE = {'x': optuna.distributions.CategoricalDistribution([0, 1])}


@pytest.fixture
def study():
    return optuna.create_study()


def begin(study, **attrs):
    """A running trial with these user attributes."""
    trial = study.ask(CHOICE)
    for name, value in attrs.items():
        trial.set_user_attr(name, value)
    return trial


def earlier(study, trial, cell='a'):
    found = earlier_trial(study, trial.number, cell, patience=0)
    return None if found is None else found.number


def test_nobody_else(study):
    begin(study, hash='b')
    assert earlier(study, begin(study, hash='a')) is None


def test_the_lower_number_trains(study):
    first, second = begin(study, hash='a'), begin(study, hash='a')
    assert earlier(study, first) is None
    assert earlier(study, second) == first.number


def test_a_finished_one_counts_whatever_its_number(study):
    first, second = begin(study, hash='a'), begin(study, hash='a')
    study.tell(second, 1.0)
    assert earlier(study, first) == second.number


@pytest.mark.parametrize('state', [TrialState.FAIL, TrialState.PRUNED])
def test_what_did_not_finish_does_not_count(study, state):
    first, second = begin(study, hash='a'), begin(study, hash='a')
    study.tell(first, state=state)
    assert earlier(study, second) is None


def test_a_repeat_does_not_count(study):
    first = begin(study, hash='a', repeat_of=7)
    study.tell(first, 1.0)
    assert finished_trials(study) == []
    assert earlier(study, begin(study, hash='a')) is None


def test_a_queued_cell_is_left_to_the_queue(study):
    """A trial that began while the cell was queued must not train it: the queued one will."""
    study.enqueue_trial({'x': 1}, user_attrs={'hash': 'a'})
    # What `ask` of another worker makes if it looked for queued trials just before.
    study.add_trial(optuna.trial.create_trial(state=TrialState.RUNNING, user_attrs={'hash': 'a'}))
    queued, fresh = study.get_trials()
    assert (queued.state, fresh.state) == (TrialState.WAITING, TrialState.RUNNING)
    assert earlier(study, fresh) == queued.number
    served = study.ask(CHOICE)
    assert served.number == queued.number
    assert earlier(study, served) is None


def test_waits_for_a_lower_number_to_say_its_cell(study, monkeypatch):
    first, second = begin(study), begin(study, hash='a')
    naps = []

    def nap(seconds):
        naps.append(seconds)
        first.set_user_attr('hash', 'a')

    monkeypatch.setattr('mmseg_sparsemask.dpc.study.time.sleep', nap)
    assert earlier_trial(study, second.number, 'a').number == first.number
    assert len(naps) == 1
    assert earlier_trial(study, first.number, 'a') is None  # of a higher number nobody waits


def test_admits_no_more_than_the_target(study):
    trials = [begin(study) for _ in range(4)]
    assert [admitted(study, t.number, 2) for t in trials] == [True, True, False, False]
    study.tell(trials[3], 1.0)
    assert [admitted(study, t.number, 2) for t in trials[:3]] == [True, False, False]
