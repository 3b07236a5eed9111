"""The way down and the swaps, on scores that are known."""

import math

import pytest

from mmseg_sparsemask.connectivity import Connectivity, DecoderShape, preset
from mmseg_sparsemask.connectivity.prune import drop_unreachable
from mmseg_sparsemask.front.descent import best_within, budgets_between, descend, improve

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


def test_the_way_down_ends_at_a_single_path():
    scorer = Additive()
    way = descend(scorer, SPACE, cost, ['D1', 'D2'])
    assert way[0] == SPACE
    assert not any(drop_unreachable(set(way[-1]) - {c}, way[-1].end) for c in way[-1])
    costs = [cost(graph) for graph in way]
    assert costs == sorted(costs, reverse=True) and len(set(costs)) == len(costs)
    for before, after in zip(way, way[1:]):
        assert set(after) < set(before)
    assert way == descend(Additive(), SPACE, cost, ['D1', 'D2'])
    # Only ends that were allowed.
    assert {graph.end for graph in way} == {'D1', 'D2'}
    assert {graph.end for graph in descend(Additive(), SPACE, cost, ['D1'])} == {'D1'}


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
