"""What decoders and their parts cost, in one unit or another; `DecoderShape` counts it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mmseg_sparsemask.connectivity.graph import Connection


@dataclass(frozen=True)
class Cost:
    """Size of a decoder.

    Attributes:
        parameters: Learnable numbers.
        multiply_adds: For one image.
        stage_parameters: The same parameters by stage; the classifier's are under ``classifier``.
    """

    parameters: int
    multiply_adds: int
    stage_parameters: Mapping[str, int]


@dataclass(frozen=True)
class PartCosts:
    """What each part of a decoder costs, in one unit; a decoder costs the sum of its parts.

    Attributes:
        connections: Cost of each connection.
        stages: Cost of each stage that is there at all, whatever its inputs.
        fixed: Cost of what every decoder has: the classifier.
        shared: Cost of what several connections need together, paid once if any of them is there.
            The sets are disjoint.
    """

    connections: Mapping[Connection, float]
    stages: Mapping[str, float]
    fixed: float
    shared: Mapping[frozenset[Connection], float] = field(default_factory=dict)

    def total(self, connections: Iterable[Connection]) -> float:
        """Cost of the decoder that consists of these connections, all of them reachable."""
        kept = frozenset(connections)
        parts = [self.stages[stage] for stage in {stage for _, stage in kept}]
        parts += [self.connections[c] for c in kept]
        parts += [cost for users, cost in self.shared.items() if not users.isdisjoint(kept)]
        # Rounded once: the sum of milliseconds must not depend on the order in a set.
        return math.fsum([self.fixed, *parts])

    def alone(self, connection: Connection) -> float:
        """Cost of a connection that shares what it needs with no other; its stage not counted."""
        shares = [cost for users, cost in self.shared.items() if connection in users]
        return math.fsum([self.connections[connection], *shares])

    def portion(self, connection: Connection) -> float:
        """Cost of a connection with an equal part of what it shares; its stage not counted."""
        shares = [cost / len(users) for users, cost in self.shared.items() if connection in users]
        return math.fsum([self.connections[connection], *shares])

    def within(self, connections: Iterable[Connection]) -> PartCosts:
        """The costs of a part of the search space."""
        space = frozenset(connections)
        shared = {users & space: cost for users, cost in self.shared.items() if users & space}
        own = {connection: self.connections[connection] for connection in connections}
        return PartCosts(own, self.stages, self.fixed, shared)


class ConnectionCosts(NamedTuple):
    """The parts of a decoder, counted in both units."""

    parameters: PartCosts
    multiply_adds: PartCosts


def feature_size(image_size: tuple[int, int], stride: int) -> tuple[int, int]:
    """(height, width) of a feature: padded strided layers round up."""
    return -(-image_size[0] // stride), -(-image_size[1] // stride)


def check_image_size(size: Any) -> tuple[int, int]:
    """Return (height, width) in pixels as a tuple.

    Raises:
        ValueError: Not two positive integers.
    """
    if isinstance(size, (list, tuple)) and len(size) == 2:
        if all(isinstance(side, int) and side > 0 for side in size):
            return size[0], size[1]
    raise ValueError(f'image_size: expected (height, width) in pixels, got {size!r}')
