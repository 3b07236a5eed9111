"""The way down and the swaps, on scores that are known."""

import math

import pytest

from mmseg_sparsemask.connectivity import Connection, Connectivity, DecoderShape, preset
from mmseg_sparsemask.connectivity.prune import drop_unreachable
from mmseg_sparsemask.front.descent import (
    best_within,
    budgets_between,
    descend,
    improve,
    part_of,
    spread,
    unbeaten,
)

STRIDES = (2, 4, 8)
SPACE_OF_SIX = preset('fdn', (2, 2, 4, 4, 8, 8))
SPACE = preset('fdn', STRIDES)
SHAPE = DecoderShape(STRIDES, (4, 8, 16), 4, 2)


def cost(graph):
    return SHAPE.cost(graph, (32, 32)).multiply_adds


class Additive:
    """Each connection lowers the loss by a known amount; the first order is right."""

    def __init__(self, space=SPACE):
        self.worth = {c: 1 + (5 * place) % 7 for place, c in enumerate(space)}
        self.losses, self.halves = {}, {}

    def true_loss(self, graph):
        return 1000.0 - sum(self.worth[c] for c in graph)

    def first_loss(self, graph):
        return self.halves.setdefault(graph, self.true_loss(graph))

    def loss(self, graph):
        return self.losses.setdefault(graph, self.first_loss(graph))

    def importance(self, graph):
        return {c: float(self.worth[c]) for c in graph}


class Redundant(Additive):
    """Of every two connections of a stage one is needed as long as the stage is there.

    To first order the two look alike, and those to the finest stage look worst.
    """

    def __init__(self, space):
        super().__init__(space)
        self.worth = {c: 2 - place / 100 for place, c in enumerate(space)}

    def true_loss(self, graph):
        lacking = 0
        for stage, sources in graph.stages.items():
            every = SPACE_OF_SIX.stages[stage]
            pairs = zip(every[::2], every[1::2])
            lacking += sum(not {*pair} & {*sources} for pair in pairs)
        return super().true_loss(graph) + 100 * lacking


def is_single_path(graph):
    return not any(drop_unreachable(set(graph) - {c}, graph.end) for c in graph)


@pytest.mark.parametrize('end', ['D1', 'D2', 'D3'])
def test_the_way_down_ends_at_a_single_path(end):
    start = part_of(SPACE, SPACE, end)
    way = descend(Additive(), start, cost)
    assert way[0] == start and is_single_path(way[-1])
    assert {graph.end for graph in way} == {end} and len(set(way)) == len(way)
    for graph in way[1:]:
        assert any(set(graph) < set(g) and cost(graph) < cost(g) for g in way)
    assert way == descend(Additive(), start, cost)


class Detour(Additive):
    """All but two connections are of little use, and a stage that most pass through of none."""

    def true_loss(self, graph):
        kept = set(graph)
        return 10.0 - 4 * len(kept & USED) - 0.01 * len(kept - {Connection('D2', 'D1')})

    def importance(self, graph):
        return {c: 4.0 if c in USED else -1.0 if c == ('D2', 'D1') else 0.01 for c in graph}


USED = {Connection('E1', 'D1'), Connection('G', 'D1')}


def test_a_cut_that_takes_most_is_a_branch_of_the_way():
    scorer, start = Detour(), Connectivity(STRIDES, {**SPACE.stages, 'D1': ['E1', 'D2', 'G']})
    way = descend(scorer, start, cost)
    two = Connectivity(STRIDES, {'D1': ['E1', 'G']})
    assert cost(two) < 0.75 * cost(start) and two in way
    # Between lie decoders of every size.
    assert {len(graph) for graph in way} >= set(range(6, len(start)))


@pytest.mark.parametrize('kind', [Additive, Redundant])
def test_large_decoders_lose_several_connections_at_once_unless_that_hurts(kind):
    scorer = kind(SPACE_OF_SIX)
    way = descend(scorer, SPACE_OF_SIX, len)
    steps = [len(before) - len(after) for before, after in zip(way, way[1:])]
    assert len(SPACE_OF_SIX) > 40 and max(steps[:5]) > 1
    # No step loses what two cuts that are harmless alone destroy together.
    cuts = [set(before) - set(after) for before, after in zip(way, way[1:])]
    for before, after, cut in list(zip(way, way[1:], cuts))[:8]:
        alone = [drop_unreachable(set(before) - {c}, 'D1') for c in cut]
        rises = [scorer.true_loss(Connectivity.from_connections(before.strides, a)) for a in alone]
        if max(rises) - scorer.loss(before) < 100:
            assert scorer.loss(after) - scorer.loss(before) < 100
    # Most candidates were scored on half of the images alone.
    assert len(scorer.losses) < 0.75 * len(scorer.halves)


def test_swaps_stay_within_the_limit_and_never_make_it_worse():
    scorer, limit = Additive(), 0.5 * cost(SPACE)
    start = Connectivity(STRIDES, {'D1': ['G']})
    found = improve(scorer, start, SPACE, cost, limit, tries=200)
    assert cost(found) <= limit and scorer.loss(found) < scorer.loss(start) - 15
    assert found == improve(Additive(), start, SPACE, cost, limit, tries=200)
    assert improve(scorer, start, SPACE, cost, limit, tries=0) == start


def test_budgets_and_the_best_within():
    assert budgets_between(10, 1000, 3) == pytest.approx([10, 100, 1000])
    assert budgets_between(10, 1000, 1) == [10]
    cheap = Connectivity(STRIDES, {'D1': ['G']})
    dear = Connectivity(STRIDES, {'D1': ['E1', 'G']})
    losses = {dear: 1.0, cheap: 2.0}
    assert best_within(losses, cost, math.inf) == dear
    assert best_within(losses, cost, cost(cheap)) == cheap
    assert best_within(losses, cost, 0) is None


def test_a_front_is_what_no_other_beats():
    costs = {'a': 1, 'b': 1, 'c': 2, 'd': 3, 'e': 4, 'f': 4}
    losses = {'a': 5.0, 'b': 4.0, 'c': 4.0, 'd': 4.5, 'e': 1.0, 'f': 1.0}
    assert unbeaten(losses, costs.get) == ['b', 'e']
    assert unbeaten({}, costs.get) == []


@pytest.mark.parametrize('count', [1, 2, 3, 10, 25, 40])
def test_points_are_as_many_as_asked_for_and_far_apart(count):
    # Most of the front lies at one end, where budgets at equal ratios would name few of them.
    costs = {place: 1000 + place if place < 20 else 10.0 ** (place - 15) for place in range(25)}
    losses = {place: 1 / (1 + place) for place in costs}
    front = unbeaten(losses, costs.get)
    assert len(front) == 25
    chosen = spread(front, losses, costs.get, count)
    assert len(chosen) == min(count, 25) and chosen == sorted(set(chosen))
    assert chosen[-1] == 24 and (count == 1 or chosen[0] == 0)
    if count == 3:
        assert chosen[1] not in (1, 2, 3, 23)
