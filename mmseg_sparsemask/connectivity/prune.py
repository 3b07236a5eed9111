"""From connection weights to a Connectivity (SparseMask, Section 3.3).

Each pass takes connections and returns connections, so passes compose::

    drop_unreachable(keep_above(weights, 1e-3))

`prune` is the whole of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmseg_sparsemask.connectivity.graph import (
    Connection,
    Connectivity,
    allowed_sources,
    check_strides,
    end_of,
    level_of,
    stages_from,
)

DEFAULT_THRESHOLD = 1e-3  # sigma of Section 4.1

Connections = frozenset[Connection]


def keep_above(
    weights: Mapping[Connection, float], threshold: float = DEFAULT_THRESHOLD
) -> Connections:
    """Keep the connections whose weight is at least the threshold.

    Args:
        weights: Connection weights in [0, 1].
        threshold: Sigma of the paper, in (0, 1).

    Raises:
        ValueError: The threshold is not in (0, 1); a weight is not a number in [0, 1].
    """
    if not 0 < threshold < 1:
        raise ValueError(f'threshold: expected a number in (0, 1), got {threshold}')
    for connection, weight in weights.items():
        if not math.isfinite(weight) or not 0 <= weight <= 1:
            raise ValueError(
                f'weight of {connection.source} -> {connection.stage}: expected a number in '
                f'[0, 1], got {weight}; the search diverged: lower the learning rate or start '
                'from pretrained weights'
            )
    return frozenset(c for c, weight in weights.items() if weight >= threshold)


def drop_unreachable(connections: Iterable[Connection], end: str = 'D1') -> Connections:
    """Drop stages without inputs and stages nobody uses, until nothing changes.

    Args:
        connections: What is left of a search space.
        end: The stage that feeds the classifier; it counts as used. Finer ones are dropped.

    Returns:
        Connections that all reach the end; perhaps none.
    """
    kept = frozenset(connections)
    while True:
        with_input = {stage for _, stage in kept}
        used = {source for source, _ in kept} | {end}
        smaller = frozenset(
            (source, stage)
            for source, stage in kept
            if stage in used and (source in with_input or not source.startswith('D'))
        )
        if len(smaller) == len(kept):
            return kept
        kept = frozenset(Connection(*c) for c in smaller)


def merge_duplicates(connections: Iterable[Connection]) -> Connections:
    """Replace stages with equal inputs by the coarsest of them.

    The coarsest is the cheapest, and the only one that every user of the others may take. The
    finest, where the decoder ends, is never replaced. Merging can make further stages equal: see
    `prune`.
    """
    connections = frozenset(connections)
    end = end_of(connections)
    stages = {stage: frozenset(sources) for stage, sources in stages_from(connections).items()}
    keeper: dict[frozenset[str], str] = {}
    for stage in sorted(stages, key=level_of, reverse=True):
        keeper.setdefault(stages[stage], stage)
    rename = {
        stage: keeper[sources]
        for stage, sources in stages.items()
        if stage != end and keeper[sources] != stage
    }
    return frozenset(
        Connection(rename.get(source, source), stage)
        for stage, sources in stages.items()
        if stage not in rename
        for source in sources
    )


def drop_subsumed(connections: Iterable[Connection]) -> Connections:
    """Drop a stage when another takes all its inputs and more, and is used wherever it is.

    Stage A is subsumed by B when A's inputs are a proper subset of B's and every stage that takes
    A also takes B. One stage is dropped at a time, the finest first.
    """
    kept = frozenset(connections)
    end = end_of(kept)
    while True:
        inputs = {stage: set(sources) for stage, sources in stages_from(kept).items()}
        users: dict[str, set[str]] = {stage: set() for stage in inputs}
        for source, stage in kept:
            if source in users:
                users[source].add(stage)
        subsumed = [
            a
            for a in sorted(inputs, key=level_of)
            if a != end
            and any(inputs[a] < inputs[b] and users[a] <= users[b] for b in inputs if b != a)
        ]
        if not subsumed:
            return kept
        kept = frozenset(c for c in kept if subsumed[0] not in c)


def prune(
    weights: Mapping[Connection, float],
    strides: Sequence[int],
    threshold: float = DEFAULT_THRESHOLD,
    merge: bool = False,
    meta: Mapping[str, Any] | None = None,
) -> Connectivity:
    """Prune a supernet: threshold, then drop what is unreachable, to a fixed point.

    Args:
        weights: Weight in [0, 1] of every connection of the supernet. Its finest stage is where the
            decoder ends.
        strides: Stride of ``E1`` .. ``EL``.
        threshold: Sigma of the paper, in (0, 1).
        merge: Also merge stages with equal inputs and drop subsumed stages, as the published
            implementation does after the paper's rules.
        meta: Passed on to the result.

    Raises:
        ValueError: See `keep_above`; or nothing that reaches the end is left.
    """
    strides = check_strides(strides)
    end = end_of(weights)
    kept = drop_unreachable(keep_above(weights, threshold), end)
    if merge:
        while True:
            merged = drop_unreachable(drop_subsumed(merge_duplicates(kept)), end)
            if merged == kept:
                break
            kept = merged
    if not kept:
        into_last = {c: w for c, w in weights.items() if c.stage == end}
        largest = max(into_last.values(), default=0.0)
        raise ValueError(
            f'everything is pruned: with threshold {threshold} no connection reaches {end} '
            f'(largest weight into {end}: {largest:.3g}); lower the threshold, or search again '
            'with a smaller loss_weight of the connectivity loss'
        )
    return Connectivity.from_connections(strides, kept, meta)


def separation(
    weights: Mapping[Connection, float], threshold: float = DEFAULT_THRESHOLD
) -> tuple[float, float]:
    """Largest weight that would be dropped and smallest that would be kept.

    A search has converged when the two are far apart. (0.0, x) when nothing would be dropped,
    (x, inf) when nothing would be kept.
    """
    kept = keep_above(weights, threshold)
    dropped = max((w for c, w in weights.items() if c not in kept), default=0.0)
    smallest = min((weights[c] for c in kept), default=math.inf)
    return dropped, smallest


def is_allowed(connection: Connection, num_levels: int) -> bool:
    """Whether a connection exists in the Fully Dense Network of that many levels."""
    level = level_of(connection.stage)
    return 1 <= level <= num_levels and connection.source in allowed_sources(level, num_levels)
