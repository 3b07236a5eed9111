"""The exact end of a search with a budget, against a version that drops one by one."""

import math
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.strategies import connection_weights

from mmseg_sparsemask.connectivity.budget import (
    FULL_ENOUGH,
    Budget,
    cheapest_cost,
    drop_to_budgets,
    fit_budgets,
    pass_over,
    prune_to_budgets,
    refill,
)
from mmseg_sparsemask.connectivity.cost import PartCosts
from mmseg_sparsemask.connectivity.graph import Connection, Connectivity
from mmseg_sparsemask.connectivity.latency import shared_resizes
from mmseg_sparsemask.connectivity.presets import MBV2_CHANNELS, MBV2_STRIDES, preset
from mmseg_sparsemask.connectivity.prune import drop_unreachable, prune
from mmseg_sparsemask.connectivity.shape import DecoderShape

THRESHOLD = 1e-3


def full(strides):
    return preset('fdn', strides)


MBV2 = DecoderShape(MBV2_STRIDES, MBV2_CHANNELS)


def costs_of(strides, **arguments):
    in_channels = [3 + 5 * level for level in range(len(strides))]
    return DecoderShape(strides, in_channels, 4, 2).part_costs(full(strides), **arguments)


@st.composite
def cases(draw, max_levels=4):
    """(strides, weights, costs, a limit between the cheapest and the full decoder)."""
    strides, weights = draw(connection_weights(1, max_levels))
    costs = getattr(costs_of(strides), draw(st.sampled_from(['parameters', 'multiply_adds'])))
    if draw(st.booleans()):
        shared = {users: draw(st.integers(0, 500)) for users in shared_resizes(full(strides))}
        costs = replace(costs, shared=shared)
    low, high = cheapest_cost(weights, costs), costs.total(weights)
    return strides, weights, costs, low + draw(st.floats(0, 1)) * (high - low)


def one_by_one(connections, weights, budget):
    """The smallest weight goes, if something that fits is left; until the rest fits."""
    kept = frozenset(connections)
    for connection in sorted(connections, key=lambda c: (weights[c], c)):
        if budget.costs.total(kept) <= budget.limit:
            break
        smaller = drop_unreachable(kept - {connection})
        if cheapest_by_trying(smaller, budget.costs) <= budget.limit:
            kept = smaller
    return kept


def cheapest_by_trying(connections, costs):
    """Cheapest of all paths to D1, each written out."""

    def paths(stage):
        for source, of in connections:
            if of != stage:
                continue
            here = (Connection(source, stage),)
            if source.startswith('D'):
                yield from (here + rest for rest in paths(source))
            else:
                yield here

    return min((costs.total(path) for path in paths('D1')), default=math.inf)


@given(cases())
def test_cheapest_cost_is_that_of_the_cheapest_path(case):
    strides, weights, costs, _ = case
    some = [c for c, weight in weights.items() if weight]
    expected = cheapest_by_trying(some, costs)
    assert cheapest_cost(some, costs) == pytest.approx(expected)


def test_no_subset_is_cheaper_than_the_cheapest_path():
    costs = costs_of((2, 4)).parameters
    every = list(costs.connections)
    decoders = (
        drop_unreachable(some)
        for size in range(1, len(every) + 1)
        for some in combinations(every, size)
    )
    assert cheapest_cost(every, costs) == min(costs.total(d) for d in decoders if d)


@given(cases())
@settings(max_examples=200)
def test_dropping_equals_dropping_one_by_one(case):
    _, weights, costs, limit = case
    budget = Budget('parameters', limit, costs)
    kept = drop_to_budgets(frozenset(weights), weights, [budget])
    assert kept == one_by_one(frozenset(weights), weights, budget)


@given(cases())
@settings(max_examples=200)
def test_fitted_decoder_is_reachable_and_within_the_budget(case):
    strides, weights, costs, limit = case
    kept = fit_budgets(weights, [Budget('parameters', limit, costs)], THRESHOLD)
    above = drop_unreachable(c for c, w in weights.items() if w >= THRESHOLD)
    assert bool(kept) == bool(above)
    assert drop_unreachable(kept) == kept
    if kept:
        Connectivity.from_connections(strides, kept)
        assert costs.total(kept) <= limit * (1 + 1e-12)
    if above and costs.total(above) <= limit:
        assert kept == above


@given(cases())
@settings(max_examples=200)
def test_what_was_dropped_comes_first_by_weight_or_is_unreachable(case):
    _, weights, costs, limit = case
    kept = drop_to_budgets(frozenset(weights), weights, [Budget('parameters', limit, costs)])
    order = sorted(weights, key=lambda c: (weights[c], c))
    prefixes = [drop_unreachable(order[count:]) for count in range(len(order))]
    fitting = [decoder for decoder in prefixes if decoder and costs.total(decoder) <= limit]
    # Where no suffix of the order fits, a cheap way to D1 was passed over.
    assert kept == fitting[0] if fitting else costs.total(kept) <= limit


@given(cases())
def test_nothing_that_fits_is_left_out(case):
    _, weights, costs, limit = case
    budget = Budget('parameters', limit, costs)
    kept = fit_budgets(weights, [budget], THRESHOLD)
    if kept and costs.total(kept) >= FULL_ENOUGH * limit:
        return  # Enough of the budget is in use: the order of the weights counts for more.
    above = drop_unreachable(c for c, w in weights.items() if w >= THRESHOLD)
    for connection in above - kept if kept <= above else ():
        larger = drop_unreachable(kept | {connection})
        assert connection not in larger or costs.total(larger) > limit


def names_and(costs, weights):
    """A two-level network by hand: costs and weights in the order of these connections."""
    names = [Connection(s, 'D1') for s in ('E1', 'E2', 'D2', 'G')]
    names += [Connection(s, 'D2') for s in ('E2', 'G')]
    return PartCosts(dict(zip(names, costs)), {'D1': 0, 'D2': 1}, 0), dict(zip(names, weights))


def test_refill_by_hand():
    """After the large connection nothing large fits, but two small ones do, and a stage."""
    costs, weights = names_and((5, 1, 1, 50, 2, 50), (0.9, 0.5, 0.4, 0.8, 0.3, 0.7))
    budget = Budget('parameters', 10, costs)
    kept = drop_to_budgets(frozenset(weights), weights, [budget])
    assert kept == {('E1', 'D1')}
    # E2 for 1; E2 -> D2 for nothing as yet, but then D2 -> D1 for 1 + 1 + 2: 5 + 1 + 4 = 10.
    weights[Connection('E2', 'D2')] = 0.45
    filled = refill(kept, weights, weights, [budget])
    assert filled == {('E1', 'D1'), ('E2', 'D1'), ('D2', 'D1'), ('E2', 'D2')}
    assert costs.total(filled) == 10


def test_passing_over_by_hand():
    """The smallest weight would leave 6 of 10 in use: it stays, and the next one goes."""
    costs, weights = names_and((5, 3, 1, 1, 1, 1), (0.9, 0.2, 0.0, 0.3, 0.0, 0.0))
    budget = Budget('parameters', 8, costs)
    above = frozenset(c for c, weight in weights.items() if weight)
    assert drop_to_budgets(above, weights, [budget]) == {('E1', 'D1'), ('G', 'D1')}
    assert pass_over(above, weights, [budget]) == {('E1', 'D1'), ('E2', 'D1')}
    assert fit_budgets(weights, [budget], THRESHOLD) == {('E1', 'D1'), ('E2', 'D1')}


@given(cases())
@settings(max_examples=200)
def test_no_end_is_worse_than_dropping_alone(case):
    _, weights, costs, limit = case
    budget = Budget('parameters', limit, costs)
    kept = fit_budgets(weights, [budget], THRESHOLD)
    if kept and costs.total(kept) >= FULL_ENOUGH * limit:
        return  # Enough of the budget is in use: the order of the weights counts for more.
    above = drop_unreachable(c for c, w in weights.items() if w >= THRESHOLD)
    if not kept <= above or not kept:
        return
    simple = drop_to_budgets(above, weights, [budget])
    assert costs.total(kept) >= costs.total(simple)
    if costs.total(simple) >= 0.9 * limit:
        assert kept == simple


@given(cases())
def test_pruning_records_budget_and_cost(case):
    strides, weights, costs, limit = case
    budget = Budget('parameters', limit, costs)
    if not fit_budgets(weights, [budget], THRESHOLD):
        with pytest.raises(ValueError, match='everything is pruned'):
            prune_to_budgets(weights, strides, [budget])
        return
    found = prune_to_budgets(weights, strides, [budget], meta={'source': 'a test'})
    assert set(found) == fit_budgets(weights, [budget], THRESHOLD)
    assert found.meta == {
        'source': 'a test',
        'budget': {'parameters': limit},
        'cost': {'parameters': costs.total(found)},
    }


@given(connection_weights(2, 4))
def test_without_a_budget_it_is_prune(case):
    strides, weights = case
    weights[Connection('E1', 'D1')] = 1.0
    assert prune_to_budgets(weights, strides, [], merge=True) == prune(weights, strides, merge=True)


@pytest.mark.parametrize('asked', [[], [10_000]])
def test_merging_does_not_leave_the_search_space(asked):
    """D3 is D4 again, but D1 may not take D4: what that would cost, and weigh, nobody knows."""
    stages = {'D4': ['E4'], 'D3': ['E4'], 'D2': ['D4', 'E2'], 'D1': ['D3', 'D2']}
    space = Connectivity((2, 4, 8, 16), stages)
    costs = costs_of((2, 4, 8, 16)).parameters.within(space)
    budgets = [Budget('parameters', limit, costs) for limit in asked]
    weights = dict.fromkeys(space, 1.0)
    assert prune_to_budgets(weights, space.strides, budgets, merge=True) == space


def test_two_budgets_are_both_kept():
    weights = {c: (7 * i % 90) / 90 for i, c in enumerate(preset('fdn', MBV2_STRIDES))}
    counted = MBV2.part_costs(preset('fdn', MBV2_STRIDES))
    budgets = [
        Budget('parameters', 300_000, counted.parameters),
        Budget('multiply_adds', 400_000_000, counted.multiply_adds),
    ]
    kept = fit_budgets(weights, budgets, THRESHOLD)
    for budget in budgets:
        assert budget.costs.total(kept) <= budget.limit
    assert any(b.costs.total(kept) >= 0.9 * b.limit for b in budgets)


def test_two_budgets_that_exclude_each_other():
    few = PartCosts({Connection('E1', 'D1'): 1, Connection('G', 'D1'): 9}, {'D1': 0}, 0)
    quick = PartCosts({Connection('E1', 'D1'): 9, Connection('G', 'D1'): 1}, {'D1': 0}, 0)
    budgets = [Budget('parameters', 2, few), Budget('latency', 2, quick)]
    weights = dict.fromkeys(few.connections, 0.5)
    with pytest.raises(ValueError, match=r'2 parameters, 2\.00 ms: no decoder .*; raise one'):
        fit_budgets(weights, budgets, THRESHOLD)


@pytest.mark.parametrize(
    ('kind', 'limit', 'words'),
    [
        ('params', 5, "one of parameters, multiply_adds, latency, got 'params'"),
        ('parameters', 0, 'expected a positive number of parameters, got 0'),
        ('parameters', -3, 'expected a positive number of parameters, got -3'),
        ('parameters', math.inf, 'expected a positive number of parameters, got inf'),
        ('parameters', math.nan, 'expected a positive number of parameters, got nan'),
        ('parameters', '5', "expected a positive number of parameters, got '5'"),
        ('parameters', True, 'expected a positive number of parameters, got True'),
        # E2 -> D1: 16 * 64 weights, 128 of D1's normalisation, 65 * 21 of the classifier.
        ('parameters', 2516, 'budget of 2,516 parameters: .* costs 2,517 parameters; ask for'),
    ],
)
def test_bad_budgets(kind, limit, words):
    costs = MBV2.part_costs(preset('fdn', MBV2_STRIDES)).parameters
    with pytest.raises(ValueError, match=words):
        Budget(kind, limit, costs)


def test_a_way_below_the_threshold_is_taken_if_none_above_is_cheap_enough():
    costs = MBV2.part_costs(preset('fdn', MBV2_STRIDES)).parameters
    weights = {c: 1.0 if c == ('G', 'D1') else 0.0 for c in costs.connections}
    # The smallest that there is, and one with a little room.
    for limit in (2517, 2600):
        found = prune_to_budgets(weights, MBV2_STRIDES, [Budget('parameters', limit, costs)])
        assert str(found) == 'D1: E2'
