"""Which rows of a table are compared with which, and what comes out."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from scipy.stats import rankdata

from mmseg_sparsemask.compare.results import CONTROL, Group, Result
from mmseg_sparsemask.compare.statistics import Shift, best_of, holm, rank_test, shift
from mmseg_sparsemask.connectivity.controls import TOLERANCE

#: What a group is known by: `Result.group`.
Key = tuple[str, str, int, int]


@dataclass(frozen=True)
class Design:
    """What a table wants to know, said before it runs.

    Attributes:
        primary: The one comparison that needs no correction: a group, and what it is compared with.
        controls: Groups that every other one of their size is compared with; None stands for those
            of the method `CONTROL`.
        settings: By group, the setting that it tries, where one is to be chosen for all methods.
    """

    primary: tuple[Key, Key] | None = None
    controls: frozenset[Key] | None = None
    settings: Mapping[Key, str] = field(default_factory=dict)

    def is_control(self, group: Group) -> bool:
        """Whether others are compared with a group."""
        if self.controls is None:
            return group.first.method == CONTROL
        return group.first.group in self.controls


@dataclass(frozen=True)
class Comparison:
    """A group beside another.

    Attributes:
        group: The one.
        other: The other, with the runs that count.
        shift: Shift of the test scores.
        p_value: Two-sided, None for too few runs; corrected (Holm) unless it is the primary one.
        primary: Whether the table named it before it ran.
    """

    group: Group
    other: Group
    shift: Shift
    p_value: float | None
    primary: bool = False


def compare_groups(groups: Sequence[Group], design: Design) -> list[Comparison]:
    """The primary comparison, then each group with the controls of its size.

    Args:
        groups: Groups of one table.
        design: What the table names; groups that have no rows yet are left out.
    """
    by_key = {group.first.group: group for group in groups}
    primary, others = [], []
    if design.primary is not None and all(key in by_key for key in design.primary):
        one, other = (by_key[key] for key in design.primary)
        primary.append(_compared(one, other, primary=True))
    for group in groups:
        for control in groups:
            pair = (group.first.group, control.first.group)
            if design.is_control(group) or not design.is_control(control) or pair == design.primary:
                continue
            runs = tuple(run for run in control.runs if _has_size_of(run, group))
            if runs:
                others.append(_compared(group, Group(runs)))
    tested = [place for place, other in enumerate(others) if other.p_value is not None]
    corrected = holm([p for other in others if (p := other.p_value) is not None])
    for place, p_value in zip(tested, corrected):
        others[place] = replace(others[place], p_value=p_value)
    return primary + others


def _compared(group: Group, other: Group, primary: bool = False) -> Comparison:
    return Comparison(
        group, other, shift(group.test, other.test), rank_test(group.test, other.test), primary
    )


def _has_size_of(control: Result, group: Group) -> bool:
    """Whether a decoder costs what one of a group costs, in parameters and multiply-adds."""
    return any(
        all(
            abs(getattr(control, cost) - getattr(run, cost)) <= TOLERANCE * getattr(run, cost)
            for cost in ('decoder_parameters', 'decoder_multiply_adds')
        )
        for run in group.runs
    )


@dataclass(frozen=True)
class Choice:
    """The best of several runs of a group by validation score.

    Attributes:
        group: Group of the runs.
        count: Runs that are tried.
        iterations: That these take, searches included.
        test: Expected test score of the chosen one, over all subsets of so many runs.
    """

    group: Group
    count: int
    iterations: int
    test: float


def choices(groups: Sequence[Group], design: Design) -> list[Choice]:
    """What choosing the best of 1, 2, 4, ... runs gives: random search, and searches repeated.

    For the controls and for the group of the primary comparison, where all runs were validated.
    """
    found = []
    for group in groups:
        wanted = design.primary is not None and group.first.group == design.primary[0]
        if not (wanted or design.is_control(group)) or len(group.val) < len(group.runs):
            continue
        iterations = group.first.search_iterations + group.first.training_iterations
        counts = [2**power for power in range(len(group.runs).bit_length())]
        found += [
            Choice(group, count, count * iterations, best_of(group.val, group.test, count))
            for count in counts
        ]
    return found


@dataclass(frozen=True)
class Setting:
    """A setting that several methods were trained with.

    Attributes:
        name: The setting.
        val: Mean validation score by method.
        rank: Mean rank among all settings, over the methods that tried all; 1 is the best.
        final: Mean rank among the settings that all methods tried; None for others.
    """

    name: str
    val: Mapping[str, float]
    rank: float
    final: float | None


def rank_settings(groups: Sequence[Group], design: Design) -> list[Setting]:
    """The settings that a table tries, the one to choose for all methods first."""
    val: dict[str, dict[str, float]] = {}
    for group in groups:
        name = design.settings.get(group.first.group)
        if name is not None and group.val:
            val.setdefault(name, {})[group.first.method] = statistics.fmean(group.val)
    methods = {method for scores in val.values() for method in scores}
    broad = [method for method in methods if all(method in scores for scores in val.values())]
    if len(val) < 2 or not broad:
        return []
    shared = [name for name, scores in val.items() if scores.keys() == methods]
    ranks, final = _mean_ranks(val, list(val), broad), _mean_ranks(val, shared, list(methods))
    found = [Setting(name, val[name], ranks[name], final.get(name)) for name in val]
    return sorted(found, key=lambda one: (one.final is None, one.final or one.rank, one.rank))


def _mean_ranks(
    val: Mapping[str, Mapping[str, float]], names: Sequence[str], methods: Sequence[str]
) -> dict[str, float]:
    """Mean rank of each setting over methods, the highest score first; ties share a rank."""
    if not names:
        return {}
    scores = [[-val[name][method] for name in names] for method in methods]
    return dict(zip(names, rankdata(scores, axis=1).mean(0).tolist()))
