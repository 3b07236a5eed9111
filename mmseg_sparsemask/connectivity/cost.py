"""Parameters and multiply-adds of a decoder, from its Connectivity and the features' channels.

Conventions, as in the paper's tables: weights of the 1x1 convolutions, scale and shift of each
batch normalisation, weights and bias of the classifier. A multiply-add counts once; a convolution
runs at its source's resolution (for ``G``: once); upsampling, additions, normalisation (which folds
into the convolutions) and activations are not counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mmseg_sparsemask.connectivity.graph import GLOBAL, Connection, Connectivity, level_of


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
        # Rounded once: the sum of milliseconds must not hang on the order in a set.
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


def source_channels(source: str, in_channels: Sequence[int], channels: int) -> int:
    """Channels of a source: a stage has `channels`, ``G`` as many as EL."""
    if source == GLOBAL:
        return in_channels[-1]
    return channels if source.startswith('D') else in_channels[level_of(source) - 1]


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


def connection_costs(
    connectivity: Connectivity,
    in_channels: Sequence[int],
    channels: int = 64,
    num_classes: int = 21,
    image_size: tuple[int, int] = (512, 512),
) -> ConnectionCosts:
    """Cost of every connection and stage of a search space or a decoder.

    Args:
        connectivity: Its connections are counted; a part of it costs the same within any other.
        in_channels: Channels of ``E1`` .. ``EL``.
        channels: Channels of every stage.
        num_classes: Outputs of the classifier.
        image_size: (height, width) of the input image in pixels, for the multiply-adds.

    Raises:
        ValueError: `in_channels` has not one entry for each stride.
    """
    if len(in_channels) != connectivity.num_levels:
        raise ValueError(
            f'in_channels: expected {connectivity.num_levels} entries, one for each of the strides '
            f'{list(connectivity.strides)}, got {list(in_channels)}'
        )

    def positions(source: str) -> int:
        stride = connectivity.stride_of(source)
        height, width = (1, 1) if stride is None else feature_size(image_size, stride)
        return height * width

    weights = {c: source_channels(c.source, in_channels, channels) * channels for c in connectivity}
    return ConnectionCosts(
        PartCosts(
            weights,
            dict.fromkeys(connectivity.stages, 2 * channels),
            (channels + 1) * num_classes,
        ),
        PartCosts(
            {c: count * positions(c.source) for c, count in weights.items()},
            dict.fromkeys(connectivity.stages, 0),
            channels * num_classes * positions('D1'),
        ),
    )


def decoder_cost(
    connectivity: Connectivity,
    in_channels: Sequence[int],
    channels: int = 64,
    num_classes: int = 21,
    image_size: tuple[int, int] = (512, 512),
) -> Cost:
    """Cost of the decoder that `SparseMaskHead` builds: the sum of `connection_costs`.

    Args:
        connectivity: The decoder.
        in_channels: Channels of ``E1`` .. ``EL``.
        channels: Channels of every stage.
        num_classes: Outputs of the classifier.
        image_size: (height, width) of the input image in pixels, for the multiply-adds.

    Raises:
        ValueError: `in_channels` has not one entry for each stride.
    """
    parts = connection_costs(connectivity, in_channels, channels, num_classes, image_size)
    by_stage = {stage: int(cost) for stage, cost in parts.parameters.stages.items()}
    for connection, cost in parts.parameters.connections.items():
        by_stage[connection.stage] += int(cost)
    by_stage['classifier'] = int(parts.parameters.fixed)
    parameters = int(parts.parameters.total(connectivity))
    return Cost(parameters, int(parts.multiply_adds.total(connectivity)), by_stage)


def supernet_parameters(
    connectivity: Connectivity,
    in_channels: Sequence[int],
    channels: int = 64,
    num_classes: int = 21,
    affine_connection_norm: bool = False,
) -> int:
    """Parameters of a supernet without its connection weights.

    Args:
        connectivity: Usually the full one.
        in_channels: Channels of ``E1`` .. ``EL``.
        channels: Channels of every stage.
        num_classes: Outputs of the classifier.
        affine_connection_norm: Count scale and shift for each connection's normalisation. The
            supernet here has none (they would hide the connection weight).
    """
    base = decoder_cost(connectivity, in_channels, channels, num_classes).parameters
    return base + (2 * channels * len(connectivity) if affine_connection_norm else 0)
