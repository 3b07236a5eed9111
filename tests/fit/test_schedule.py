"""Sizes and lengths that fit into the minutes that are given."""

from types import SimpleNamespace

import pytest

from mmseg_sparsemask.fit import schedule
from mmseg_sparsemask.fit.schedule import FEWEST, MOST, WANTED, choose_plan, sizes


def chosen(monkeypatch, seconds, per_pixel=2e-5, size=(360, 480), train=32, cores=2):
    """The plan where an iteration takes a time in proportion to its pixels."""
    written = []

    def write(plan):
        written.append(plan)
        return plan

    def measured(plan, threads):
        step = per_pixel * plan.crop[0] * plan.crop[1]
        return step, 2 * step

    monkeypatch.setattr(schedule, '_measured', measured)
    monkeypatch.setattr(schedule.os, 'cpu_count', lambda: cores)
    data = SimpleNamespace(counts={'train': train, 'val': 8}, image_size=size)
    plan, said = choose_plan(data, 5, seconds, 2.0, False, write)
    assert written[-1] == plan
    return plan, said


def test_sizes_keep_the_form_and_end_at_the_images_own():
    plans = sizes((360, 480))
    assert plans[-1].scale == (480, 360) and plans[0].scale == (128, 96)
    assert all(abs(long / short - 4 / 3) < 0.02 for long, short in (p.scale for p in plans))
    assert all(side % 16 == 0 for p in plans for side in p.crop)
    assert [p.scale for p in sizes((64, 64))] == [(64, 64)]
    # Smaller than the coarsest feature allows: enlarged.
    assert sizes((30, 60))[0].scale == (128, 64)


def test_more_time_gives_larger_images_then_more_iterations(monkeypatch):
    plans = [chosen(monkeypatch, 60 * m)[0] for m in (2, 8, 60, 600, 6000)]
    sides = [plan.scale[1] for plan in plans]
    assert sides == sorted(sides) and sides[0] < sides[2] and sides[-1] == 360
    assert all(plan.iterations >= WANTED for plan in plans[1:])
    assert plans[-2].iterations < plans[-1].iterations <= MOST


def test_what_is_planned_takes_the_time_that_is_given(monkeypatch):
    for minutes in (8, 30, 120):
        plan, _ = chosen(monkeypatch, 60 * minutes)
        step = 2e-5 * plan.crop[0] * plan.crop[1]
        # Four networks, the supernet for half as long, and two that are searched for the rest.
        trained = plan.iterations * (4 * step + 0.5 * 2 * step + 2 * 0.5 * step)
        assert 0.4 < trained / (2 * 60 * minutes) < 0.95


def test_too_little_time_is_said(monkeypatch):
    plan, said = chosen(monkeypatch, 6)
    assert plan.iterations == FEWEST and 'the least' in said


@pytest.mark.parametrize('train, held', [(6, 0), (16, 4), (32, 8), (4000, 64)])
def test_images_that_are_held_back(monkeypatch, train, held):
    assert chosen(monkeypatch, 36000, train=train)[0].held_back == held


def test_one_core_trains_one_at_a_time(monkeypatch):
    plan, _ = chosen(monkeypatch, 480, cores=1)
    assert (plan.processes, plan.threads) == (1, 1)
    plan, _ = chosen(monkeypatch, 480, cores=8)
    assert (plan.processes, plan.threads) == (2, 4)
