"""Connectivity: which features each decoder stage takes, as immutable data.

The vocabulary is that of SparseMask (Wu et al., arXiv 1904.07642, Section 3):

* ``E1`` .. ``EL`` are the encoder's features, ``E1`` the finest, ``EL`` the last;
* ``G`` is the global average of ``EL``, one value a channel;
* ``D1`` .. ``DL`` are the decoder's stages. ``Dl`` has the size of ``El``; they are computed from
  ``DL`` to ``D1``, and the finest one there is feeds the classifier: it is the decoder's end.

Stage ``Dl`` may take ``Ei`` for i >= l, ``Di`` for i > l, and ``G``: L(L+1) connections in all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

GLOBAL = 'G'


class Connection(NamedTuple):
    """A directed edge ``source -> stage``, for example ``Connection('E9', 'D8')``."""

    source: str
    stage: str


@dataclass(frozen=True)
class Feature:
    """What a decoder has to know of one encoder feature.

    Attributes:
        name: ``E1`` .. ``EL``.
        channels: Number of channels.
        stride: Input pixels per feature position along each axis.
        module: Name of the module in the backbone that gives it, if known.
    """

    name: str
    channels: int
    stride: int
    module: str = ''


def encoder_name(level: int) -> str:
    """Name of the encoder feature of a level (1 = finest)."""
    return f'E{level}'


def stage_name(level: int) -> str:
    """Name of the decoder stage of a level (1 = finest)."""
    return f'D{level}'


def level_of(name: str) -> int:
    """Level of a feature or stage: 3 for ``E3`` and ``D3``.

    Raises:
        ValueError: The name is not of the form ``E<level>`` or ``D<level>``. ``G`` has no level.
    """
    if name[:1] in ('E', 'D') and name[1:].isdecimal() and name[1] != '0':
        return int(name[1:])
    raise ValueError(f"expected a feature name such as 'E3' or 'D3', got {name!r}")


def allowed_sources(level: int, num_levels: int) -> tuple[str, ...]:
    """Every source that stage ``D<level>`` may take, in canonical order.

    Canonical order is ``E`` by level, then ``D`` by level, then ``G``.
    """
    encoder = [encoder_name(i) for i in range(level, num_levels + 1)]
    decoder = [stage_name(i) for i in range(level + 1, num_levels + 1)]
    return (*encoder, *decoder, GLOBAL)


def all_connections(num_levels: int) -> tuple[Connection, ...]:
    """The L(L+1) connections of the Fully Dense Network, in canonical order.

    Stages from ``DL`` to ``D1`` (the order of computation), sources as in `allowed_sources`.
    """
    return tuple(
        Connection(source, stage_name(level))
        for level in range(num_levels, 0, -1)
        for source in allowed_sources(level, num_levels)
    )


def end_of(connections: Iterable[Connection]) -> str:
    """The finest stage that connections lead to, where a decoder or a search space ends."""
    return min((stage for _, stage in connections), key=level_of, default='D1')


def stages_from(connections: Iterable[Connection]) -> dict[str, list[str]]:
    """Group connections by stage: ``{'D1': ['E1', 'G'], ...}``."""
    stages: dict[str, list[str]] = {}
    for source, stage in connections:
        stages.setdefault(stage, []).append(source)
    return stages


@dataclass(frozen=True)
class Connectivity:
    """An immutable, valid set of connections over features of known strides.

    Valid means: every stage and source exists for this number of levels, every source is allowed
    for its stage, every stage has an input, and every stage but the finest is used.
    Two are equal when strides and connections are; `meta` does not count.

    Args:
        strides: Stride of ``E1`` .. ``EL``; they need not be monotone nor distinct.
        stages: Sources of each stage. Order does not matter; it is made canonical.
        meta: Where it came from; kept in the JSON file, without effect.

    Raises:
        ValueError: Not valid; the message names the stage, the rule and the remedy.
    """

    strides: tuple[int, ...]
    stages: Mapping[str, tuple[str, ...]]
    meta: Mapping[str, Any] = field(default_factory=dict, compare=False, hash=False)

    def __init__(
        self,
        strides: Sequence[int],
        stages: Mapping[str, Iterable[str]],
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        strides = check_strides(strides)
        given = {stage: _source_list(stage, sources) for stage, sources in stages.items()}
        _check_names(given, len(strides))
        _check_reachable(given)
        ordered = {
            stage_name(level): tuple(
                source
                for source in allowed_sources(level, len(strides))
                if source in given[stage_name(level)]
            )
            for level in range(len(strides), 0, -1)
            if stage_name(level) in given
        }
        object.__setattr__(self, 'strides', strides)
        object.__setattr__(self, 'stages', MappingProxyType(ordered))
        object.__setattr__(self, 'meta', MappingProxyType(dict(meta or {})))

    @classmethod
    def from_connections(
        cls,
        strides: Sequence[int],
        connections: Iterable[Connection],
        meta: Mapping[str, Any] | None = None,
    ) -> Connectivity:
        """Build from edges instead of lists by stage."""
        return cls(strides, stages_from(connections), meta)

    @property
    def num_levels(self) -> int:
        """L, the number of encoder features."""
        return len(self.strides)

    @property
    def end(self) -> str:
        """The finest stage, which feeds the classifier: logits have its size."""
        return list(self.stages)[-1]

    @property
    def connections(self) -> tuple[Connection, ...]:
        """Every connection, in canonical order."""
        return tuple(self)

    def users(self, source: str) -> tuple[str, ...]:
        """Stages that take a source, from coarse to fine."""
        return tuple(stage for stage, sources in self.stages.items() if source in sources)

    def sources(self) -> tuple[str, ...]:
        """Every source that some stage takes: ``E`` by level, ``D`` by level, ``G``."""
        used = {source for source, _ in self}
        levels = range(1, self.num_levels + 1)
        names = [*map(encoder_name, levels), *map(stage_name, levels), GLOBAL]
        return tuple(name for name in names if name in used)

    def stride_of(self, name: str) -> int | None:
        """Stride of a feature or stage; None for ``G``, which has no positions."""
        return None if name == GLOBAL else self.strides[level_of(name) - 1]

    def __iter__(self) -> Iterator[Connection]:
        for stage, sources in self.stages.items():
            for source in sources:
                yield Connection(source, stage)

    def __len__(self) -> int:
        return sum(map(len, self.stages.values()))

    def __contains__(self, connection: object) -> bool:
        return connection in set(self)

    def __hash__(self) -> int:
        return hash((self.strides, tuple(self)))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.strides, dict(self.stages), dict(self.meta))

    def __str__(self) -> str:
        return ' · '.join(f'{stage}: {" ".join(srcs)}' for stage, srcs in self.stages.items())


def check_strides(strides: Sequence[int]) -> tuple[int, ...]:
    """Return strides as a tuple of positive integers.

    Raises:
        ValueError: Empty, or something in it is not a positive integer.
    """
    if isinstance(strides, str) or not isinstance(strides, Sequence) or not strides:
        raise ValueError(
            'strides: expected a non-empty list of positive integers, finest feature first, '
            f'got {strides!r}'
        )
    for stride in strides:
        if isinstance(stride, bool) or not isinstance(stride, int) or stride < 1:
            raise ValueError(
                f'strides: expected positive integers, got {stride!r} in {list(strides)!r}'
            )
    return tuple(strides)


def _source_list(stage: str, sources: Iterable[str]) -> list[str]:
    if isinstance(sources, (str, bytes)) or not isinstance(sources, Iterable):
        raise ValueError(
            f"stages[{stage!r}]: expected a list of sources such as ['E9', 'G'], got {sources!r}"
        )
    sources = list(sources)
    for source in sources:
        if not isinstance(source, str):
            raise ValueError(f'stages[{stage!r}]: expected names, got {source!r}')
        if sources.count(source) > 1:
            raise ValueError(f'stages[{stage!r}]: {source!r} is listed twice; list it once')
    return sources


def _check_names(stages: Mapping[str, Sequence[str]], num_levels: int) -> None:
    known = {stage_name(level): level for level in range(1, num_levels + 1)}
    for stage, sources in stages.items():
        if stage not in known:
            raise ValueError(
                f'unknown stage {stage!r}: {num_levels} strides allow D1 to D{num_levels}; '
                'rename the stage or give the strides it was made for'
            )
        allowed = allowed_sources(known[stage], num_levels)
        for source in sources:
            if source in allowed:
                continue
            if source in known and known[source] <= known[stage]:
                reason = 'stages are computed from coarse to fine, so this would be a cycle'
            elif source.startswith('E') and source[1:] in map(str, range(1, num_levels + 1)):
                reason = 'a stage takes encoder features of its own level or coarser'
            else:
                reason = f'no such feature among {num_levels} levels'
            raise ValueError(
                f'stages[{stage!r}]: {source!r} is not allowed ({reason}); '
                f'allowed are {", ".join(allowed)}'
            )


def _check_reachable(stages: Mapping[str, Sequence[str]]) -> None:
    remedy = 'prune.drop_unreachable() removes what cannot be computed or is not used'
    if not stages:
        raise ValueError("stages: expected at least one, such as {'D1': ['E1', 'G']}, got none")
    end = min(stages, key=level_of)
    if not stages[end]:
        raise ValueError(f'stage {end}, which feeds the classifier, has no input; give it one')
    used = {source for sources in stages.values() for source in sources}
    for stage, sources in stages.items():
        if not sources:
            raise ValueError(f'dangling stage {stage}: it has no input; {remedy}')
        if stage != end and stage not in used:
            raise ValueError(
                f'dangling stage {stage}: no stage takes it, and {end} is the last; {remedy}'
            )
    for source in sorted(used):
        if source.startswith('D') and source not in stages:
            raise ValueError(f'{source} is taken by a stage but has no inputs itself; {remedy}')


class ResolutionGroup(NamedTuple):
    """Sources of one resolution that feed one stage: one convolution of the deployed form.

    Attributes:
        name: Name of that convolution: ``'s32'``, or ``'G'`` for the global average.
        stride: Stride of its sources; ``math.inf`` for ``G``, which is coarser than any map.
        sources: In the connectivity's order.
    """

    name: str
    stride: float
    sources: tuple[str, ...]


def resolution_groups(connectivity: Connectivity, stage: str) -> list[ResolutionGroup]:
    """Sources of a stage by resolution, in the order of their first source."""
    sources: dict[float, list[str]] = {}
    for source in connectivity.stages[stage]:
        stride = connectivity.stride_of(source)
        sources.setdefault(math.inf if stride is None else stride, []).append(source)
    return [
        ResolutionGroup(GLOBAL if stride == math.inf else f's{stride}', stride, tuple(members))
        for stride, members in sources.items()
    ]
