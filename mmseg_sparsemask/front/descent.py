"""From the full network down: what costs most for what it gives goes first."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence

from mmseg_sparsemask.connectivity import Connectivity
from mmseg_sparsemask.connectivity.prune import Connections, drop_unreachable
from mmseg_sparsemask.front.scorer import Scorer

#: How many candidates of a step are scored, those first that seem to lose least for what they save.
TRIES = 4

Cost = Callable[[Connectivity], float]


def descend(
    scorer: Scorer, start: Connectivity, cost: Cost, ends: Sequence[str]
) -> list[Connectivity]:
    """Drop a connection at a time, with what that cuts off, until a single path is left.

    In each step connections are ranked by their first-order importance over what they save. The
    first `TRIES`, and the part that ends a stage earlier, are scored, and the one whose loss rises
    least for what it saves is taken.

    Args:
        scorer: Scorer of the supernet.
        start: Where to begin.
        cost: Cost of a part.
        ends: Stages that a decoder may end at.

    Returns:
        The way, the start first.
    """
    way = [start]
    while len(way[-1]) > 1:
        current = way[-1]
        before, spent = scorer.loss(current), cost(current)
        rises = scorer.importance(current)
        ranked = []
        for connection in current:
            smaller = _part(current, drop_unreachable(set(current) - {connection}, current.end))
            if smaller is not None and cost(smaller) < spent:
                rise = math.fsum(rises[c] for c in set(current) - set(smaller))
                ranked.append((_rate(rise, spent - cost(smaller)), smaller))
        ranked.sort(key=lambda one: (one[0], str(one[1])))
        candidates = [smaller for _, smaller in ranked[:TRIES]]
        candidates += [smaller for smaller in _earlier_ends(current, ends) if cost(smaller) < spent]
        if not candidates:
            break
        way.append(
            min(
                candidates,
                key=lambda c: (_rate(scorer.loss(c) - before, spent - cost(c)), str(c)),
            )
        )
    return way


def improve(
    scorer: Scorer, start: Connectivity, space: Connectivity, cost: Cost, limit: float, tries: int
) -> Connectivity:
    """Swap a connection for another, or add or drop one, while that lowers the loss within a limit.

    Args:
        scorer: Scorer of the supernet.
        start: A part within the limit.
        space: The search space.
        cost: Cost of a part.
        limit: The most it may cost.
        tries: How many swaps are scored; a swap that helps does not end the series.
    """
    numbers = random.Random(f'{start} {limit}')
    best = start
    for _ in range(20 * tries):
        if tries <= 0:
            break
        absent = [c for c in space if c not in set(best)]
        out = numbers.choice([None, *best])
        more = [numbers.choice(absent)] if absent else []
        while more and more[-1].source[0] == 'D' and more[-1].source not in best.stages:
            # A stage that is not there needs an input, too.
            more.append(numbers.choice([c for c in space if c.stage == more[-1].source]))
        changed = (set(best) - {out}) | set(more)
        swapped = _part(best, drop_unreachable(changed, best.end))
        if swapped is None or swapped == best or cost(swapped) > limit:
            continue
        tries -= 1
        if scorer.loss(swapped) < scorer.loss(best):
            best = swapped
    return best


def _rate(rise: float, saving: float) -> float:
    """Loss for what is saved; what lowers the loss counts by itself, so that little things go."""
    return rise / saving if rise > 0 else rise


def _earlier_ends(current: Connectivity, ends: Sequence[str]) -> Iterator[Connectivity]:
    """The part that ends at the next coarser stage that may be an end."""
    stages = [stage for stage in current.stages if stage in ends and stage != current.end]
    if stages:
        part = _part(current, drop_unreachable(current, stages[-1]))
        if part is not None:
            yield part


def _part(of: Connectivity, kept: Connections) -> Connectivity | None:
    return Connectivity.from_connections(of.strides, kept) if kept else None


def budgets_between(low: float, high: float, count: int) -> list[float]:
    """Budgets at equal ratios, the largest last."""
    steps = max(count - 1, 1)
    return [low * math.exp(math.log(high / low) * place / steps) for place in range(count)]


def best_within(losses: dict[Connectivity, float], cost: Cost, limit: float) -> Connectivity | None:
    """The part of least loss within a limit; of equal ones the cheapest."""
    fits = [c for c in losses if cost(c) <= limit]
    return min(fits, key=lambda c: (losses[c], cost(c), str(c)), default=None)
