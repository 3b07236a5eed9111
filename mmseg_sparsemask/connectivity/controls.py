"""Controls for a search: random decoders of a given size, and learned weights in random places.

A search is worth its cost if what it finds is better than what chance gives at the same size (Yang,
Esperança and Carlucci, "NAS evaluation is frustratingly hard", ICLR 2020).
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mmseg_sparsemask.connectivity.budget import KINDS, cheapest_cost, check_limit
from mmseg_sparsemask.connectivity.cost import PartCosts, check_image_size
from mmseg_sparsemask.connectivity.graph import Connection, Connectivity, all_connections
from mmseg_sparsemask.connectivity.presets import fdn
from mmseg_sparsemask.connectivity.prune import Connections, drop_unreachable
from mmseg_sparsemask.connectivity.shape import DecoderShape

#: How far the cost of a draw may be from what was asked for.
TOLERANCE = 0.05

#: After so many draws that do not fit, none is looked for any more: seconds.
MAX_DRAWS = 20_000

#: What a config may ask for.
_KINDS = ('parameters', 'multiply_adds')


def random_decoder(
    strides: Sequence[int], costs: PartCosts, kind: str, target: float, seed: int
) -> Connectivity:
    """A random decoder whose cost is within `TOLERANCE` of what is asked for.

    A draw takes a share p between 0 and 1, takes every connection of the Fully Dense Network with
    probability p, and drops what does not reach ``D1``, as pruning does. Draws of another cost are
    rejected.

    Args:
        strides: Stride of ``E1`` .. ``EL``.
        costs: What the parts cost.
        kind: Unit of the costs, ``'parameters'`` or ``'multiply_adds'``.
        target: The cost wanted.
        seed: The same seed gives the same decoder.

    Raises:
        ValueError: `target` is out of reach, or no draw came near it. The message has the range.
    """
    connections = all_connections(len(strides))
    low, high = cheapest_cost(connections, costs), costs.total(connections)
    write = KINDS[kind].format
    reachable = f'decoders on these features cost {write(low)} to {write(high)}'
    if not low / (1 + TOLERANCE) <= target <= high / (1 - TOLERANCE):
        raise ValueError(f'random decoder: expected {reachable}, got {write(target)}')
    numbers = random.Random(seed)

    def draw() -> Connections:
        share = numbers.random()
        return drop_unreachable(c for c in connections if numbers.random() < share)

    drawn = _first_fit(draw, costs, target)
    if isinstance(drawn, float):
        raise ValueError(
            f'random decoder: none of {MAX_DRAWS:,} draws was within {TOLERANCE:.0%} of '
            f'{write(target)}, the nearest had {write(drawn)}; {reachable}, but most lie between: '
            'ask for another size, or try another seed'
        )
    meta = {'source': 'random', 'seed': seed, kind: costs.total(drawn), f'wanted_{kind}': target}
    return Connectivity.from_connections(strides, drawn, meta)


def _first_fit(
    draw: Callable[[], Connections], costs: PartCosts, target: float
) -> Connections | float:
    """The first draw within `TOLERANCE` of a cost; without any, the cost that came nearest."""
    nearest = 0.0
    for _ in range(MAX_DRAWS):
        drawn = draw()
        if not drawn:
            continue
        cost = costs.total(drawn)
        if abs(cost - target) <= TOLERANCE * target:
            return drawn
        nearest = min(nearest, cost, key=lambda value: abs(value - target))
    return nearest


def from_settings(settings: Mapping[str, Any], shape: DecoderShape | None) -> Connectivity:
    """The random decoder that a config asks for.

    Args:
        settings: ``dict(source='random', seed=..., parameters=...)``, or ``multiply_adds=...``
            with ``image_size=(height, width)`` in place of the parameters.
        shape: Of the decoder, if known.

    Raises:
        ValueError: Other settings; the shape is not known; see `random_decoder`.
    """
    given = dict(settings)
    kinds = [kind for kind in _KINDS if kind in given]
    expected = {'source', 'seed', *kinds}
    if kinds == ['multiply_adds']:
        expected.add('image_size')
    if len(kinds) != 1 or set(given) != expected:
        raise ValueError(
            "connectivity: expected dict(source='random', seed=..., parameters=...) or "
            "dict(source='random', seed=..., multiply_adds=..., image_size=(height, width)), got "
            f'the keys {sorted(given)}'
        )
    kind, seed = kinds[0], given['seed']
    check_limit(kind, given[kind])
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise ValueError(f'connectivity: expected a whole number as seed, got {seed!r}')
    if shape is None:
        raise ValueError(
            "connectivity: a random decoder needs the features' strides and channels, and the "
            'number of classes; expected it in a SparseMaskHead with strides=[...]'
        )
    image_size = check_image_size(given.get('image_size', (512, 512)))
    counted = shape.part_costs(fdn(shape.strides), image_size)
    return random_decoder(shape.strides, getattr(counted, kind), kind, given[kind], seed)


def overlap(decoders: Sequence[Connectivity]) -> float:
    """How alike decoders are: of each two, the connections in both over those in either (Jaccard).

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
    shares = [
        len(set(first) & set(second)) / len(set(first) | set(second))
        for first, second in itertools.combinations(decoders, 2)
    ]
    return sum(shares) / len(shares)


def permuted_places(
    weights: Mapping[Connection, float],
    pruned: Connectivity,
    costs: PartCosts,
    seed: int,
) -> tuple[dict[Connection, Connection], Connectivity]:
    """Learned weights in random places: as many connections, a cost within `TOLERANCE`.

    The places are drawn in a random order, and those count that reach ``D1`` by places drawn before
    or after them, until there are as many as in the pruned decoder. They get the largest weights,
    in the order in which they were drawn. So pruning by the permuted weights to the same number
    of connections gives the decoder that is returned; draws of another cost are rejected.

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
            kept = drop_unreachable(order[:length])
            if len(kept) >= count:
                return kept if len(kept) == count else frozenset()
        return frozenset()

    drawn = _first_fit(draw, costs, target)
    if isinstance(drawn, float):
        raise ValueError(
            f'permuted weights: none of {MAX_DRAWS:,} draws with {count} connections was within '
            f'{TOLERANCE:.0%} of a cost of {target:,.0f}, the nearest had {drawn:,.0f}; try '
            'another seed, or prune with another threshold'
        )
    places = sorted(order, key=lambda c: c not in drawn)
    ranked = sorted(weights, key=lambda c: -weights[c])
    meta = {'source': 'permuted weights', 'seed': seed}
    found = Connectivity.from_connections(pruned.strides, drawn, meta)
    return dict(zip(places, ranked)), found
