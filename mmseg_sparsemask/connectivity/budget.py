"""The exact end of a search with a budget: the smallest weights go until the decoder fits."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmseg_sparsemask.connectivity.cost import PartCosts
from mmseg_sparsemask.connectivity.graph import (
    Connection,
    Connectivity,
    end_of,
    level_of,
    stages_from,
)
from mmseg_sparsemask.connectivity.prune import (
    DEFAULT_THRESHOLD,
    Connections,
    drop_unreachable,
    keep_above,
    prune,
)

#: What a budget can be asked in, and how a number of it is written for people.
KINDS = {
    'parameters': '{:,.0f} parameters',
    'multiply_adds': '{:,.0f} multiply-adds',
    'latency': '{:.2f} ms',
}

#: A decoder that uses at least this share of a budget is taken as it is.
FULL_ENOUGH = 0.9


@dataclass(frozen=True)
class Budget:
    """The most that a decoder may cost.

    Args:
        kind: ``'parameters'``, ``'multiply_adds'`` or ``'latency'``.
        limit: Number of parameters or multiply-adds, or milliseconds.
        costs: What each part of the search space costs, in the same unit.

    Raises:
        ValueError: An unknown kind; a limit that is not a positive number, or below the cheapest
            decoder of the search space.
    """

    kind: str
    limit: float
    costs: PartCosts

    def __post_init__(self) -> None:
        check_limit(self.kind, self.limit)
        minimum = cheapest_cost(self.costs.connections, self.costs)
        if self.limit < minimum:
            raise ValueError(
                f'budget of {self.write(self.limit)}: the cheapest decoder that reaches '
                f'{end_of(self.costs.connections)} costs '
                f'{self.write(minimum)}; ask for at least that'
            )

    @property
    def full(self) -> float:
        """Cost of the whole search space."""
        return self.costs.total(self.costs.connections)

    def write(self, cost: float) -> str:
        """A cost with its unit, for people."""
        return KINDS[self.kind].format(cost)


def check_limit(kind: str, limit: float) -> None:
    """Make sure that a budget's kind is known and its limit a positive number.

    Raises:
        ValueError: When they are not.
    """
    if kind not in KINDS:
        raise ValueError(f'budget: expected one of {", ".join(KINDS)}, got {kind!r}')
    if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not 0 < limit < math.inf:
        raise ValueError(f'budget: expected a positive number of {kind}, got {limit!r}')


def cheapest_cost(connections: Iterable[Connection], costs: PartCosts) -> float:
    """Cost of the cheapest decoder that reaches the end of the search space; infinite if none does.

    It is a path: a stage with two inputs costs no less than with one of them.

    Args:
        connections: What the decoder may consist of.
        costs: What they cost.
    """
    stages = stages_from(connections)
    best: dict[str, float] = {}
    for stage in sorted(stages, key=level_of, reverse=True):
        into = [
            costs.alone(Connection(source, stage))
            + (best.get(source, math.inf) if source.startswith('D') else 0)
            for source in stages[stage]
        ]
        best[stage] = costs.stages[stage] + min(into)
    return costs.fixed + best.get(end_of(costs.connections), math.inf)


def prune_to_budgets(
    weights: Mapping[Connection, float],
    strides: Sequence[int],
    budgets: Sequence[Budget],
    threshold: float = DEFAULT_THRESHOLD,
    merge: bool = False,
    meta: Mapping[str, Any] | None = None,
) -> Connectivity:
    """Prune a supernet to what its weights give within the budgets; without any, as `prune` does.

    Args:
        weights: Weight in [0, 1] of every connection of the supernet.
        strides: Stride of ``E1`` .. ``EL``.
        budgets: What the decoder may cost.
        threshold: Sigma of the paper, in (0, 1).
        merge: As in `prune`; it follows the budgets and makes the decoder cheaper still. Where it
            asks for a connection that the supernet lacks, stages stay as they are.
        meta: Passed on to the result, with ``budget`` and ``cost`` by kind if there are budgets.

    Raises:
        ValueError: See `prune` and `fit_budgets`.
    """
    kept = fit_budgets(weights, budgets, threshold)
    fitted = {c: max(w, threshold) if c in kept else 0.0 for c, w in weights.items()}
    left = fitted if kept else weights
    found = prune(left, strides, threshold, merge)
    if not weights.keys() >= set(found):
        found = prune(left, strides, threshold)
    known = dict(meta or {})
    if budgets:
        known['budget'] = {budget.kind: budget.limit for budget in budgets}
        known['cost'] = {budget.kind: budget.costs.total(found) for budget in budgets}
    return Connectivity(strides, found.stages, known)


def fit_budgets(
    weights: Mapping[Connection, float], budgets: Sequence[Budget], threshold: float
) -> Connections:
    """The decoder that the largest weights give within every budget.

    First what is below the threshold goes, then the smallest weights (`drop_to_budgets`). Where
    the last of these was so expensive that less than `FULL_ENOUGH` of the budget is left in use,
    other ends are tried: to leave that one in and drop the next (`pass_over`), to put back what
    there is room for (`refill`), and the same without one of those that are left, the smallest
    weight first. The first end that uses enough counts, else the most expensive.

    Args:
        weights: Weight in [0, 1] of every connection of the search space.
        budgets: What the result may cost.
        threshold: Connections of smaller weight go in any case.

    Returns:
        Connections that all reach the end; none if those above the threshold do not reach it.

    Raises:
        ValueError: Each of several budgets can be kept, but not all at once.
    """
    above = drop_unreachable(keep_above(weights, threshold), end_of(weights))
    if not above or not budgets:
        return above
    kept = drop_to_budgets(above, weights, budgets)
    if not _fits(kept, budgets):
        # No way to the end above the threshold is cheap enough: there is one below.
        kept = drop_to_budgets(frozenset(weights), weights, budgets)
    if not _fits(kept, budgets):
        wanted = ', '.join(budget.write(budget.limit) for budget in budgets)
        raise ValueError(
            f'budgets of {wanted}: no decoder was found that keeps all of them; raise one'
        )
    best: Connections = frozenset()
    for found in _ends(kept, above, weights, budgets):
        if _use(found, budgets) >= FULL_ENOUGH:
            return found
        best = max(best, found, key=lambda end: _use(end, budgets))
    return best


def _ends(
    kept: Connections,
    candidates: Connections,
    weights: Mapping[Connection, float],
    budgets: Sequence[Budget],
) -> Iterator[Connections]:
    """Decoders within the budgets, those that respect the order of the weights most first."""
    yield kept
    yield pass_over(candidates, weights, budgets)
    filled = refill(kept, candidates, weights, budgets)
    yield filled
    for connection in sorted(filled, key=lambda c: (weights[c], c)):
        left = drop_unreachable(filled - {connection}, end_of(weights))
        if left:
            yield refill(left, candidates - {connection}, weights, budgets)


def drop_to_budgets(
    connections: Connections, weights: Mapping[Connection, float], budgets: Sequence[Budget]
) -> Connections:
    """Drop the smallest weights first, and what that cuts off, until every budget is kept.

    A connection without which nothing that fits would reach the end is passed over.

    Args:
        connections: Where to start, all of them reachable.
        weights: Their weights; equal ones go in the order of the names.
        budgets: What the result may cost.

    Returns:
        Connections that all reach the end. If no decoder of `connections` fits, the result does not
        fit either.
    """
    end = end_of(weights)
    order = sorted(connections, key=lambda c: (weights[c], c))
    # Costs fall with every drop, so where they first fit can be found by halving.
    dropped = bisect_left(
        range(len(order)), True, key=lambda n: _fits(drop_unreachable(order[n:], end), budgets)
    )
    kept = drop_unreachable(order[dropped:], end)
    if kept:
        return kept
    # The last path to the end is too expensive: go step by step, and keep a way that is affordable.
    kept = frozenset(connections)
    combined = _relative(budgets)
    allowed = max(1.0, cheapest_cost(kept, combined))
    for connection in order:
        if _fits(kept, budgets):
            break
        smaller = drop_unreachable(kept - {connection}, end)
        if cheapest_cost(smaller, combined) <= allowed:
            kept = smaller
    return kept


def pass_over(
    connections: Connections, weights: Mapping[Connection, float], budgets: Sequence[Budget]
) -> Connections:
    """Drop the smallest weights first, but none that would leave too little of the budget in use.

    Args:
        connections: Where to start, all of them reachable.
        weights: Their weights.
        budgets: What the result may cost.

    Returns:
        Connections that use `FULL_ENOUGH` of a budget and keep all; none if that was not found.
    """
    kept = frozenset(connections)
    for connection in sorted(connections, key=lambda c: (weights[c], c)):
        if _fits(kept, budgets):
            return kept
        smaller = drop_unreachable(kept - {connection}, end_of(weights))
        if smaller and _use(smaller, budgets) >= FULL_ENOUGH:
            kept = smaller
    return kept if _fits(kept, budgets) else frozenset()


def refill(
    kept: Connections,
    candidates: Iterable[Connection],
    weights: Mapping[Connection, float],
    budgets: Sequence[Budget],
) -> Connections:
    """Put connections back while they fit, the largest weight first.

    One expensive connection less can leave room for several cheap ones. A connection of a stage
    that is not there must fit by itself; it counts once another one makes the stage reachable.

    Args:
        kept: A decoder within the budgets.
        candidates: What may come back.
        weights: Their weights.
        budgets: What the result may cost.
    """
    end = end_of(weights)
    order = sorted(set(candidates) - kept, key=lambda c: (-weights[c], c))
    chosen, reachable = kept, kept
    while True:
        before = chosen
        for connection in order:
            if connection in chosen:
                continue
            larger = drop_unreachable(chosen | {connection}, end)
            # One out of reach does not make the decoder larger, but what it would cost counts.
            if _fits(larger | {connection}, budgets):
                chosen, reachable = chosen | {connection}, larger
        if chosen == before:
            return reachable


def _fits(connections: Connections, budgets: Sequence[Budget]) -> bool:
    return all(budget.costs.total(connections) <= budget.limit for budget in budgets)


def _use(connections: Connections, budgets: Sequence[Budget]) -> float:
    """The share of a budget in use, for the one used most; 0 without connections."""
    shares = [budget.costs.total(connections) / budget.limit for budget in budgets]
    return max(shares) if connections else 0.0


def _relative(budgets: Sequence[Budget]) -> PartCosts:
    """Each part's cost as a share of the limit, in the budget where that share is largest."""
    first = budgets[0].costs
    return PartCosts(
        {c: max(b.costs.connections[c] / b.limit for b in budgets) for c in first.connections},
        {s: max(b.costs.stages[s] / b.limit for b in budgets) for s in first.stages},
        max(b.costs.fixed / b.limit for b in budgets),
        {users: cost / b.limit for b in budgets for users, cost in b.costs.shared.items()},
    )
