"""The way down and the swaps, on scores that are known."""

import math

import pytest

from mmseg_sparsemask.connectivity import Connectivity, DecoderShape, preset
from mmseg_sparsemask.connectivity.prune import drop_unreachable
from mmseg_sparsemask.front.descent import (
    best_within,
    budgets_between,
    descend,
    improve,
    spread,
    unbeaten,
)

STRIDES = (2, 4, 8)
SPACE = preset('fdn', STRIDES)
SHAPE = DecoderShape(STRIDES, (4, 8, 16), 4, 2)


def cost(graph):
    return SHAPE.cost(graph, (32, 32)).multiply_adds


class Additive:
    """Each connection lowers the loss by a known amount; the first order is right."""

    def __init__(self):
        self.worth = {c: 1 + (5 * place) % 7 for place, c in enumerate(SPACE)}
        self.losses = {}
        self.asked = 0

    def loss(self, graph):
        if graph not in self.losses:
            self.asked += 1
            self.losses[graph] = 100.0 - sum(self.worth[c] for c in graph)
        return self.losses[graph]

    def importance(self, graph):
        return {c: float(self.worth[c]) for c in graph}


def is_single_path(graph):
    return not any(drop_unreachable(set(graph) - {c}, graph.end) for c in graph)


def test_the_way_down_ends_at_a_single_path():
    way = descend(Additive(), SPACE, cost, ['D1'])
    assert way[0] == SPACE and is_single_path(way[-1])
    costs = [cost(graph) for graph in way]
    assert costs == sorted(costs, reverse=True) and len(set(costs)) == len(costs)
    assert all(set(after) < set(before) for before, after in zip(way, way[1:]))
    assert {graph.end for graph in way} == {'D1'}
    assert way == descend(Additive(), SPACE, cost, ['D1'])


def test_where_the_way_ends_earlier_it_goes_on_at_the_finer_end_too():
    ends = ['D1', 'D2', 'D3']
    way = descend(Additive(), SPACE, cost, ends)
    assert way == descend(Additive(), SPACE, cost, ends)
    # For every end that it met, it went down to a single path.
    met = {graph.end for graph in way}
    assert 'D1' in met and len(met) > 1 and met == {g.end for g in way if is_single_path(g)}
    for graph in way[1:]:
        larger = [g for g in way if set(graph) < set(g)]
        assert larger, graph
    assert 'D2' not in {graph.end for graph in descend(Additive(), SPACE, cost, ['D1', 'D3'])}


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
