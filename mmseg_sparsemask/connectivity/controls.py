"""Controls for a search: random decoders of a given size, and learned weights in random places.

A search is worth its cost if what it finds is better than what chance gives at the same size (Yang,
Esperança and Carlucci, "NAS evaluation is frustratingly hard", ICLR 2020).
"""

from __future__ import annotations

import itertools
import math
import random
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mmseg_sparsemask.connectivity.budget import KINDS, cheapest_cost, check_limit
from mmseg_sparsemask.connectivity.cost import PartCosts, check_image_size
from mmseg_sparsemask.connectivity.graph import (
    Connection,
    Connectivity,
    all_connections,
    allowed_sources,
    level_of,
    stage_name,
)
from mmseg_sparsemask.connectivity.prune import Connections, drop_unreachable
from mmseg_sparsemask.connectivity.shape import DecoderShape

#: How far the cost of a draw may be from what was asked for.
TOLERANCE = 0.05

#: How many draws may miss before the search gives up, after a few seconds.
MAX_DRAWS = 300
MAX_PERMUTATIONS = 20_000

#: Random changes that may bring a draw nearer to what was asked for.
CHANGES = 200

#: What a config may ask for.
_KINDS = ('parameters', 'multiply_adds')


class _Target(NamedTuple):
    """A cost that a random decoder is to have, and what its parts cost."""

    kind: str
    cost: float
    costs: PartCosts

    def write(self, cost: float) -> str:
        return KINDS[self.kind].format(cost)

    @property
    def highest(self) -> float:
        return (1 + TOLERANCE) * self.cost

    @property
    def lowest(self) -> float:
        return (1 - TOLERANCE) * self.cost

    def check(self, space: Connectivity) -> str:
        """What decoders of a space cost, in words; an error if that is never near the target."""
        low, high = cheapest_cost(space, self.costs), self.costs.total(space)
        words = f'decoders on these features cost {self.write(low)} to {self.write(high)}'
        if self.highest < low or high < self.lowest:
            raise ValueError(f'random decoder: expected {words}, got {self.write(self.cost)}')
        return words


class _Wish(NamedTuple):
    """What a random decoder is to be: its costs, its end, and the end's inputs, if they count."""

    targets: Sequence[_Target]
    end: str
    end_inputs: int | None

    def inputs(self, connections: Connections) -> int:
        return sum(stage == self.end for _, stage in connections)

    def gap(self, kept: Connections) -> float:
        """How far a decoder is outside what is wished; 0 if it is inside."""
        if not kept:
            return math.inf
        gaps = [abs(t.costs.total(kept) / t.cost - 1) - TOLERANCE for t in self.targets]
        if self.end_inputs is not None:
            gaps.append(2 * TOLERANCE * abs(self.inputs(kept) - self.end_inputs))
        return math.fsum(gap for gap in gaps if gap > 0)

    def write(self, kept: Connections) -> str:
        costs = [target.write(target.costs.total(kept)) for target in self.targets]
        return f'{" and ".join(costs)}, {self.inputs(kept)} inputs of {self.end}'


def random_decoder(
    shape: DecoderShape,
    costs: Mapping[str, float],
    seed: int,
    image_size: tuple[int, int] = (512, 512),
    end_inputs: int | None = None,
    end: str = 'D1',
) -> Connectivity:
    """A random decoder whose costs are within `TOLERANCE` of those asked for.

    A draw goes through all connections in random order and takes each that leaves every cost in
    reach, until all costs are met. A draw that ends short of one is changed at random, one or two
    connections at a time, where that brings it no further away. If this fails, another is drawn.

    Args:
        shape: Shape of the decoder.
        costs: ``'parameters'``, ``'multiply_adds'`` or both, with the cost wanted.
        seed: The same seed gives the same decoder.
        image_size: (height, width) of the image in pixels, for the multiply-adds.
        end_inputs: How many inputs the last stage shall have; None for any number.
        end: The last stage, which feeds the classifier.

    Raises:
        ValueError: A cost is out of reach, or no draw came near all of them. The message has the
            ranges.
    """
    levels = len(shape.strides)
    if end not in map(stage_name, range(1, levels + 1)):
        raise ValueError(f'random decoder: expected an end from D1 to D{levels}, got {end!r}')
    level = level_of(end)
    space = Connectivity.from_connections(
        shape.strides, (c for c in all_connections(levels) if level_of(c.stage) >= level)
    )
    counted = shape.part_costs(space, image_size)
    targets = [_Target(kind, cost, getattr(counted, kind)) for kind, cost in costs.items()]
    ranges = '; '.join(target.check(space) for target in targets)
    most = len(allowed_sources(level, levels))
    if end_inputs is not None and not 1 <= end_inputs <= most:
        raise ValueError(
            f'random decoder: expected 1 to {most} inputs of {end} (end_inputs), got {end_inputs}'
        )
    wish, numbers = _Wish(targets, end, end_inputs), random.Random(seed)
    nearest: Connections = frozenset()
    for _ in range(MAX_DRAWS):
        kept = _changed(numbers, space, _filled(numbers, space, wish), wish)
        if not wish.gap(kept):
            found = {target.kind: target.costs.total(kept) for target in targets}
            wanted = {f'wanted_{kind}': cost for kind, cost in costs.items()}
            meta = {'source': 'random', 'seed': seed, **found, **wanted}
            return Connectivity.from_connections(shape.strides, kept, meta)
        nearest = min(nearest, kept, key=wish.gap)
    asked = ' and '.join(target.write(target.cost) for target in targets)
    asked += '' if end_inputs is None else f' with {end_inputs} inputs of {end}'
    raise ValueError(
        f'random decoder: none of {MAX_DRAWS:,} draws was within {TOLERANCE:.0%} of {asked}; the '
        f'nearest had {wish.write(nearest)}; {ranges}, but most lie between: ask for another size, '
        'or try another seed'
    )


def _filled(numbers: random.Random, space: Connectivity, wish: _Wish) -> Connections:
    """Connections in random order, as long as every cost can still be met; some may be useless."""
    order = list(space)
    numbers.shuffle(order)
    # Anywhere within the tolerance, so that no decoder is out of reach.
    share = numbers.uniform(1 - TOLERANCE, 1 + TOLERANCE)
    chosen: Connections = frozenset()
    for place, connection in enumerate(order):
        if connection.stage == wish.end and wish.inputs(chosen) == wish.end_inputs:
            continue
        reached = drop_unreachable(chosen | {connection}, wish.end)
        counted = reached | {connection}
        left = [c for c in order[:place] if c in chosen - counted] + order[place + 1 :]
        if _in_reach(counted, left, wish.targets):
            chosen |= {connection}
            if reached and all(t.costs.total(reached) >= share * t.cost for t in wish.targets):
                break
    return chosen


def _in_reach(counted: Connections, left: list[Connection], targets: Sequence[_Target]) -> bool:
    """Whether every cost fits, and can still be met by parts of `left` that the others allow."""
    spent = [target.costs.total(counted) for target in targets]
    if any(cost > target.highest for cost, target in zip(spent, targets)):
        return False
    for (cost, target), (other_cost, other) in itertools.permutations(zip(spent, targets), 2):
        prices, gains = other.costs.connections, target.costs.connections
        room = other.highest - other_cost
        for connection in sorted(left, key=lambda c: prices[c] / gains[c]):
            part = min(1.0, room / prices[connection])
            cost, room = cost + part * gains[connection], room - part * prices[connection]
        if cost < target.lowest:
            return False
    return True


def _changed(
    numbers: random.Random, space: Connectivity, chosen: Connections, wish: _Wish
) -> Connections:
    """A draw after random changes, of which those count that bring it no further away."""
    kept = drop_unreachable(chosen, wish.end)
    gap = wish.gap(kept)
    for _ in range(CHANGES if gap else 0):
        flipped = chosen ^ set(numbers.choices(space.connections, k=numbers.randint(1, 2)))
        reached = drop_unreachable(flipped, wish.end)
        if (new := wish.gap(reached)) <= gap:
            chosen, kept, gap = flipped, reached, new
        if not gap:
            break
    return kept


def from_settings(settings: Mapping[str, Any], shape: DecoderShape | None) -> Connectivity:
    """The random decoder that a config asks for.

    Args:
        settings: ``dict(source='random', seed=...)`` with ``parameters=...``, or with
            ``multiply_adds=...`` and ``image_size=(height, width)``, or with both costs; and
            perhaps ``end_inputs=...`` and ``end='D3'``. `like` makes such settings.
        shape: Shape of the decoder, if known.

    Raises:
        ValueError: Other settings; the shape is not known; see `random_decoder`.
    """
    given = dict(settings)
    targets = {kind: given[kind] for kind in _KINDS if kind in given}
    expected = {'source', 'seed', *targets, *({'image_size'} if 'multiply_adds' in targets else ())}
    if not targets or set(given) - {'end_inputs', 'end'} != expected:
        raise ValueError(
            "connectivity: expected dict(source='random', seed=...) with parameters=..., or with "
            'multiply_adds=... and image_size=(height, width), or with all three, and perhaps '
            f'end_inputs=... and end=...; got the keys {sorted(given)}'
        )
    for kind, cost in targets.items():
        check_limit(kind, cost)
    for name in ('seed', 'end_inputs'):
        number = given.get(name, 1)
        if isinstance(number, bool) or not isinstance(number, int):
            raise ValueError(f'connectivity: expected a whole number as {name}, got {number!r}')
    if shape is None:
        raise ValueError(
            "connectivity: a random decoder needs the features' strides and channels, and the "
            'number of classes; expected it in a SparseMaskHead with strides=[...]'
        )
    image_size = check_image_size(given.get('image_size', (512, 512)))
    return random_decoder(
        shape, targets, given['seed'], image_size, given.get('end_inputs'), given.get('end', 'D1')
    )


def like(
    decoder: Connectivity,
    shape: DecoderShape,
    seed: int,
    image_size: tuple[int, int],
    same_inputs: bool = False,
) -> dict[str, Any]:
    """Settings of a random decoder with both costs of another: the control for a search.

    Args:
        decoder: What the search found.
        shape: Shape of both.
        seed: Seed of the random decoder.
        image_size: (height, width) of the image in pixels, for the multiply-adds.
        same_inputs: Let the last stage have as many inputs, too.
    """
    cost = shape.cost(decoder, image_size)
    costs = {'parameters': cost.parameters, 'multiply_adds': cost.multiply_adds}
    settings = {'source': 'random', 'seed': seed, **costs, 'image_size': list(image_size)}
    if decoder.end != 'D1':
        settings['end'] = decoder.end
    if same_inputs:
        settings['end_inputs'] = len(decoder.stages[decoder.end])
    return settings


def overlap(decoders: Sequence[Connectivity]) -> float:
    """How alike decoders are: for each pair, connections in both over those in either (Jaccard).

    Args:
        decoders: On the same features, at least two.

    Returns:
        The mean over all pairs, 0 to 1.

    Raises:
        ValueError: A single decoder, or decoders on features of different strides.
    """
    if len(decoders) < 2:
        raise ValueError(f'overlap: expected at least two decoders, got {len(decoders)}')
    strides = {decoder.strides for decoder in decoders}
    if len(strides) > 1:
        raise ValueError(
            f'overlap: expected decoders on the same features, got strides {sorted(strides)}'
        )
    pairs = itertools.combinations(map(set, decoders), 2)
    return statistics.fmean(len(first & second) / len(first | second) for first, second in pairs)


def permuted_places(
    weights: Mapping[Connection, float], pruned: Connectivity, costs: PartCosts, seed: int
) -> tuple[dict[Connection, Connection], Connectivity]:
    """Learned weights in random places: as many connections, a cost within `TOLERANCE`.

    The places are drawn in a random order, and those count that reach the end by places drawn
    before or after them, until there are as many as in the pruned decoder. They get the largest
    weights, in the order in which they were drawn. So pruning by the permuted weights to the same
    number of connections gives the decoder that is returned; draws of another cost are rejected.

    Args:
        weights: Weight of every connection of the search space.
        pruned: What the learned weights themselves give.
        costs: What the parts cost.
        seed: The same seed gives the same places.

    Returns:
        For each connection the one whose weight it gets, and the decoder of the largest ones.

    Raises:
        ValueError: No draw has both the number and the cost.
    """
    numbers, count, target = random.Random(seed), len(pruned), costs.total(pruned)
    order = list(weights)

    def draw() -> Connections:
        numbers.shuffle(order)
        for length in range(count, len(order) + 1):
            kept = drop_unreachable(order[:length], pruned.end)
            if len(kept) >= count:
                return kept if len(kept) == count else frozenset()
        return frozenset()

    nearest = 0.0
    for _ in range(MAX_PERMUTATIONS):
        drawn = draw()
        cost = costs.total(drawn) if drawn else 0.0
        if abs(cost - target) <= TOLERANCE * target:
            break
        nearest = min(nearest, cost, key=lambda value: abs(value - target))
    else:
        raise ValueError(
            f'permuted weights: none of {MAX_PERMUTATIONS:,} draws with {count} connections was '
            f'within {TOLERANCE:.0%} of a cost of {target:,.0f}, the nearest had {nearest:,.0f}; '
            'try another seed, or prune with another threshold'
        )
    places = sorted(order, key=lambda c: c not in drawn)
    ranked = sorted(weights, key=lambda c: -weights[c])
    meta = {'source': 'permuted weights', 'seed': seed}
    found = Connectivity.from_connections(pruned.strides, drawn, meta)
    return dict(zip(places, ranked)), found
