"""Put a Connectivity on another backbone (SparseMask, Section 4.3).

Features are matched by stride. The rule, in full:

1. Several features may share a stride. Within one stride the last (deepest) source feature goes to
   the last target feature, the one before it to the one before, and those left over to the
   first. With equal counts this is one to one.
2. ``Dl`` goes where ``El`` goes, except the last stage, which feeds the classifier and is never
   dropped: ``D1`` stays ``D1``, whatever its stride; another one whose stride the target lacks goes
   to the finest level of a larger stride, or to ``DL`` if there is none.
3. A feature or stage whose stride the target lacks is dropped, with its connections.
4. Stages that meet in one are joined: their inputs are united, connections among them vanish.
5. Connections that the target's order of levels does not allow are dropped, then stages that have
   no input or no user, to a fixed point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmseg_sparsemask.connectivity.graph import (
    GLOBAL,
    Connection,
    Connectivity,
    check_strides,
    level_of,
    stage_name,
)
from mmseg_sparsemask.connectivity.prune import drop_unreachable, is_allowed


@dataclass(frozen=True)
class Transfer:
    """A transferred Connectivity and how it came about.

    Attributes:
        connectivity: The result.
        levels: Level of the target for each level of the source, None if its stride is missing.
        dropped: What was dropped, and why, in words.
    """

    connectivity: Connectivity
    levels: tuple[int | None, ...]
    dropped: tuple[str, ...]


def match_levels(source: Sequence[int], target: Sequence[int]) -> tuple[int | None, ...]:
    """For each source level the target level of equal stride (rule 1), or None.

    Examples:
        >>> match_levels((2, 2, 4, 8, 16, 16, 32, 32, 32), (2, 4, 8, 16, 32))
        (1, 1, 2, 3, 4, 4, 5, 5, 5)
    """
    matched: list[int | None] = []
    for level, stride in enumerate(source, 1):
        same = [i for i, s in enumerate(source, 1) if s == stride]
        candidates = [i for i, s in enumerate(target, 1) if s == stride]
        place = len(candidates) - len(same) + same.index(level)
        matched.append(candidates[max(0, place)] if candidates else None)
    return tuple(matched)


def _new_end(
    connectivity: Connectivity, levels: Sequence[int | None], strides: Sequence[int]
) -> str:
    """Where the stage that feeds the classifier goes (rule 2)."""
    level = level_of(connectivity.end)
    if level == 1:
        return 'D1'
    stride = connectivity.strides[level - 1]
    coarser = (i for i, s in enumerate(strides, 1) if s > stride)
    return stage_name(levels[level - 1] or next(coarser, len(strides)))


def transfer(connectivity: Connectivity, strides: Sequence[int]) -> Connectivity:
    """The same decoder on features of other strides; see the rule in the module's docstring.

    Raises:
        ValueError: No encoder feature that the decoder uses has a match.
    """
    return transfer_report(connectivity, strides).connectivity


def transfer_report(connectivity: Connectivity, strides: Sequence[int]) -> Transfer:
    """`transfer`, with the matches and what was dropped."""
    strides = check_strides(strides)
    if strides == connectivity.strides:
        levels: tuple[int | None, ...] = tuple(range(1, len(strides) + 1))
        return Transfer(connectivity, levels, ())
    levels = match_levels(connectivity.strides, strides)
    dropped: list[str] = []

    end = connectivity.end
    new_end = _new_end(connectivity, levels, strides)

    def new_name(name: str) -> str | None:
        if name == GLOBAL:
            return name
        if name == end:
            return new_end
        level = levels[level_of(name) - 1]
        return None if level is None else f'{name[0]}{level}'

    for name in (*connectivity.sources(), end):
        if new_name(name) is None:
            dropped.append(f'{name}: no feature of stride {connectivity.stride_of(name)}')
    connections: set[Connection] = set()
    for old_source, old_stage in connectivity:
        source, stage = new_name(old_source), new_name(old_stage)
        if source is None or stage is None:
            continue
        new = Connection(source, stage)
        if is_allowed(new, len(strides)):
            connections.add(new)
        elif source != stage:
            dropped.append(
                f'{old_source} -> {old_stage}: would be {source} -> {stage}, which runs against '
                'the order of levels'
            )
    kept = drop_unreachable(connections, new_end)
    for source, stage in sorted(connections - kept):
        dropped.append(f'{source} -> {stage}: left without input or user')
    used_encoder = any(source.startswith('E') for source, _ in connectivity)
    if not kept or (used_encoder and not any(source.startswith('E') for source, _ in kept)):
        raise ValueError(
            f'nothing is left of the decoder: it was made for strides {list(connectivity.strides)} '
            f'and uses {", ".join(s for s in connectivity.sources() if s.startswith("E"))}; on '
            f'{list(strides)} none of them finds a match that leads to {new_end}. Tap '
            'backbone features of those strides, from fine to coarse.'
        )
    meta = {**connectivity.meta, 'transferred_from': list(connectivity.strides)}
    result = Connectivity.from_connections(strides, kept, meta)
    return Transfer(result, levels, tuple(dropped))
