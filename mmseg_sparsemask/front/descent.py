"""From the full network down: the connections that cost most for their worth are dropped first."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Protocol, TypeVar

from mmseg_sparsemask.connectivity import Connectivity
from mmseg_sparsemask.connectivity.prune import Connections, drop_unreachable
from mmseg_sparsemask.front.scorer import Scorer

#: How many candidates of a step are scored on half of the images, those first that seem to lose
#: least for what they save; and how many of these on all images.
TRIES, FINALISTS = 4, 2

#: Most of a decoder's connections that a step may drop, as a share; always one.
AT_ONCE = 0.1

#: Share of the cost that a cut may save without being one of many steps.
JUMP = 0.25

Cost = Callable[[Connectivity], float]

#: A decoder, alone or with the supernet it is of.
Key = TypeVar('Key', bound=Hashable)


class Scores(Protocol):
    """Losses of decoders, the lower the better."""

    def loss(self, connectivity: Connectivity) -> float:
        """The loss that counts."""

    def first_loss(self, connectivity: Connectivity) -> float:
        """A cheaper loss, which rules out hopeless decoders."""


def descend(
    scorer: Scorer,
    start: Connectivity,
    cost: Cost,
    tick: Callable[[Connectivity], None] = lambda _: None,
) -> list[Connectivity]:
    """Drop connections, with what that cuts off, until a single path is left.

    In each step connections are ranked by their first-order importance over what they save. The
    first `TRIES` are scored on half of the images, the best of these on all, and the one whose loss
    rises least for what it saves is taken. From a large decoder others of them go at once, as
    long as that loses at most twice as much for what it saves as the best. Where the best cuts off
    more than `JUMP` of the cost, the way also goes on with the best of those that do not: between
    lie decoders that no other way meets.

    Args:
        scorer: Scorer of the supernet.
        start: Where to begin.
        cost: Cost of a part.
        tick: Called with each decoder on the way.

    Returns:
        The way, the start first; then the branches.
    """
    way: dict[Connectivity, None] = {}
    branches: list[Connectivity | None] = [start]
    while branches:
        current = branches.pop(0)
        while current is not None and current not in way:
            way[current] = None
            scorer.loss(current)
            tick(current)
            cuts = _cuts(scorer, current, cost)
            small = [cut for cut in cuts if cost(cut) >= (1 - JUMP) * cost(current)]
            best = _next(scorer, current, cuts, cost)
            if small and best is not None and cost(best) < (1 - JUMP) * cost(current):
                branches.append(best)
                best = _next(scorer, current, small, cost)
            current = best
    return list(way)


def _cuts(scorer: Scorer, current: Connectivity, cost: Cost) -> list[Connectivity]:
    """The parts with a connection less that seem to lose least for what they save."""
    rises, ranked = scorer.importance(current), []
    for connection in current:
        smaller = part_of(current, set(current) - {connection}, current.end)
        if smaller is not None and cost(smaller) < cost(current):
            rise = math.fsum(rises[c] for c in set(current) - set(smaller))
            ranked.append((_rate(rise, cost(current) - cost(smaller)), str(smaller), smaller))
    return [smaller for _, _, smaller in sorted(ranked, key=lambda one: one[:2])[:TRIES]]


def _next(
    scorer: Scorer, current: Connectivity, candidates: Sequence[Connectivity], cost: Cost
) -> Connectivity | None:
    """The one whose loss rises least for what it saves, without more of what others lack.

    None if there are no candidates.
    """

    def rate(
        graph: Connectivity, before: Connectivity, loss: Callable[[Connectivity], float]
    ) -> float:
        return _rate(loss(graph) - loss(before), cost(before) - cost(graph))

    ranked = sorted(candidates, key=lambda c: (rate(c, current, scorer.first_loss), str(c)))
    finalists = ranked[:FINALISTS]
    best = min(finalists, key=lambda c: (rate(c, current, scorer.loss), str(c)), default=None)
    if best is None:
        return None
    limit = 2 * max(rate(best, current, scorer.first_loss), 0.0)
    for other in ranked:
        if len(current) - len(best) + 1 > AT_ONCE * len(current):
            break
        both = part_of(best, set(best) & set(other), best.end)
        if both is None or cost(both) >= cost(best):
            continue
        if rate(both, best, scorer.first_loss) <= limit:
            best = both
    return best


def improve(
    scorer: Scores, start: Connectivity, space: Connectivity, cost: Cost, limit: float, tries: int
) -> Connectivity:
    """Swap a connection for another, or add or drop one, while that lowers the loss within a limit.

    Args:
        scorer: Scores of decoders.
        start: A part within the limit.
        space: The search space.
        cost: Cost of a part.
        limit: The most it may cost.
        tries: How many swaps are scored, on all images if they help on the first half; a swap that
            helps does not end the series.
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
        swapped = part_of(best, changed, best.end)
        if swapped is None or swapped == best or cost(swapped) > limit:
            continue
        tries -= 1
        helps = scorer.first_loss(swapped) < scorer.first_loss(best)
        if helps and scorer.loss(swapped) < scorer.loss(best):
            best = swapped
    return best


def _rate(rise: float, saving: float) -> float:
    """Loss for what is saved; what lowers the loss counts by itself, so that little things go."""
    return rise / saving if rise > 0 else rise


def part_of(whole: Connectivity, kept: Connections, end: str) -> Connectivity | None:
    """What reaches an end of the connections that are kept; None if nothing does."""
    reaching = drop_unreachable(kept, end)
    return Connectivity.from_connections(whole.strides, reaching) if reaching else None


def budgets_between(low: float, high: float, count: int) -> list[float]:
    """Budgets at equal ratios, the largest last."""
    steps = max(count - 1, 1)
    return [low * math.exp(math.log(high / low) * place / steps) for place in range(count)]


def best_within(
    losses: Mapping[Key, float], cost: Callable[[Key], float], limit: float
) -> Key | None:
    """The part of least loss within a limit; of equal ones the cheapest."""
    fits = [c for c in losses if cost(c) <= limit]
    return min(fits, key=lambda c: (losses[c], cost(c), str(c)), default=None)


def unbeaten(losses: Mapping[Key, float], cost: Callable[[Key], float]) -> list[Key]:
    """What no other beats: the cheapest first, each of less loss than all that cost no more."""
    found: list[Key] = []
    for graph in sorted(losses, key=lambda c: (cost(c), losses[c], str(c))):
        if not found or losses[graph] < losses[found[-1]]:
            found.append(graph)
    return found


def spread(
    front: Sequence[Key], losses: Mapping[Key, float], cost: Callable[[Key], float], count: int
) -> list[Key]:
    """So many of a front, far from each other in cost (by ratios) and loss.

    Args:
        front: What no other beats, the cheapest first.
        losses: Their losses.
        cost: Their costs, above 0.
        count: How many; fewer only where the front has no more. The cheapest and the best are
            among them.
    """
    if len(front) <= count:
        return list(front)

    def place(graph: Key) -> tuple[float, float]:
        return math.log(cost(graph)), losses[graph]

    first, last = place(front[0]), place(front[-1])

    def distance(one: Key, other: Key) -> float:
        return sum(
            abs((a - b) / (start - end))
            for a, b, start, end in zip(place(one), place(other), first, last)
        )

    chosen = [front[-1], front[0]][: max(count, 1)]
    while len(chosen) < count:
        others = [graph for graph in front if graph not in chosen]
        chosen.append(max(others, key=lambda g: min(distance(g, c) for c in chosen)))
    return [graph for graph in front if graph in chosen]
