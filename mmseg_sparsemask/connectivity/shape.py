"""The shape of a decoder: what its size depends on besides its connections.

Counts follow the paper's tables: weights of the 1x1 convolutions, scale and shift of each batch
normalisation, weights and bias of the classifier. A multiply-add counts once; a convolution runs at
its source's resolution (for ``G``: once); upsampling, additions, normalisation (which folds into
the convolutions) and activations are not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mmseg_sparsemask.connectivity.cost import ConnectionCosts, Cost, PartCosts, feature_size
from mmseg_sparsemask.connectivity.graph import GLOBAL, Connectivity, check_strides, level_of
from mmseg_sparsemask.utils.tool_command import tool_command


@dataclass(frozen=True)
class DecoderShape:
    """Features, width and outputs of a decoder; costs are asked of it.

    Attributes:
        strides: Stride of ``E1`` .. ``EL``; becomes a tuple.
        in_channels: Channels of ``E1`` .. ``EL``; becomes a tuple.
        channels: Channels of every stage.
        num_classes: Outputs of the classifier.

    Raises:
        ValueError: Strides that are not positive integers, or another number of channels.
    """

    strides: Sequence[int]
    in_channels: Sequence[int]
    channels: int = 64
    num_classes: int = 21

    def __post_init__(self) -> None:
        object.__setattr__(self, 'strides', check_strides(self.strides))
        in_channels = one_per_level('in_channels', self.in_channels, self.strides)
        object.__setattr__(self, 'in_channels', in_channels)

    @classmethod
    def of_head(cls, head: Any, strides: Sequence[int]) -> DecoderShape:
        """The shape of a decoder for features of these strides, by its head's settings."""
        outputs = head.get('out_channels') or head.num_classes
        return cls(strides, head.in_channels, head.channels, outputs)

    def source_channels(self, source: str) -> int:
        """Channels of a source: a stage has `channels`, ``G`` as many as EL."""
        if source == GLOBAL:
            return self.in_channels[-1]
        return self.channels if source[0] == 'D' else self.in_channels[level_of(source) - 1]

    def part_costs(
        self, connectivity: Connectivity, image_size: tuple[int, int] = (512, 512)
    ) -> ConnectionCosts:
        """Cost of every connection and stage of a search space or a decoder.

        Args:
            connectivity: A part of it costs the same within any other.
            image_size: (height, width) of the image in pixels, for the multiply-adds.

        Raises:
            ValueError: It is for features of other strides.
        """
        if connectivity.strides != self.strides:
            raise ValueError(
                f'expected a connectivity for features of strides {list(self.strides)}, '
                f'got {list(connectivity.strides)}; transfer it first'
            )

        def positions(source: str) -> int:
            stride = connectivity.stride_of(source)
            height, width = (1, 1) if stride is None else feature_size(image_size, stride)
            return height * width

        weights = {c: self.source_channels(c.source) * self.channels for c in connectivity}
        return ConnectionCosts(
            PartCosts(
                weights,
                dict.fromkeys(connectivity.stages, 2 * self.channels),
                (self.channels + 1) * self.num_classes,
            ),
            PartCosts(
                {c: count * positions(c.source) for c, count in weights.items()},
                dict.fromkeys(connectivity.stages, 0),
                self.channels * self.num_classes * positions(connectivity.end),
            ),
        )

    def cost(self, connectivity: Connectivity, image_size: tuple[int, int] = (512, 512)) -> Cost:
        """Size of the decoder that `SparseMaskHead` builds: the sum of `part_costs`.

        A supernet has as many parameters besides its connection weights.

        Args:
            connectivity: The decoder.
            image_size: (height, width) of the image in pixels, for the multiply-adds.

        Raises:
            ValueError: It is for features of other strides.
        """
        parts = self.part_costs(connectivity, image_size)
        by_stage = {stage: int(cost) for stage, cost in parts.parameters.stages.items()}
        for connection, cost in parts.parameters.connections.items():
            by_stage[connection.stage] += int(cost)
        by_stage['classifier'] = int(parts.parameters.fixed)
        parameters, multiply_adds = (int(part.total(connectivity)) for part in parts)
        return Cost(parameters, multiply_adds, by_stage)


def one_per_level(name: str, value: Any, strides: Sequence[int]) -> tuple[int, ...]:
    """Integers as a tuple, one for each encoder feature.

    Args:
        name: Name of the argument, for the message.
        value: What was given.
        strides: Strides of the features.

    Raises:
        ValueError: Not a list of integers, or not as many as strides.
    """
    if isinstance(value, (int, str)) or not all(isinstance(item, int) for item in value):
        raise ValueError(
            f'{name}: expected a list of integers, one for each encoder feature, got {value!r}'
        )
    if len(value) != len(strides):
        raise ValueError(
            f'{name}: expected {len(strides)} entries, one for each of the strides '
            f'{list(strides)}, got {list(value)}; '
            f'{tool_command("describe_backbone", "CONFIG")} prints the lines to paste'
        )
    return tuple(value)
