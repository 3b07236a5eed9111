"""Parameters and multiply-adds of a cell, in the paper's convention and in full.

The paper counts convolution weights alone: no batch normalisation, no biases, no projection after
the concatenation. Its figures for multiply-adds of the published cell agree with one more operation
per output channel of a branch and position (the normalisation's scale). Each number here says which
of the two it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from mmseg_sparsemask.dpc.cell import FEATURE, POOL, SEP3X3, Cell
from mmseg_sparsemask.utils.checks import check_one_of, check_whole

POOLING_MODES = ('grid', 'window')


@dataclass(frozen=True)
class CellCost:
    """What a cell costs. Counts of single numbers; one multiply-add counts once.

    Args:
        parameters: Convolution weights of the branches (the paper's count).
        parameters_projected: The same with the 1x1 projection after the concatenation.
        multiply_adds: Multiply-adds of those branch convolutions.
        multiply_adds_normed: ``multiply_adds`` with one more operation per branch output channel
            and position (the paper's count of the published cell).
        multiply_adds_projected: ``multiply_adds`` with the projection's.
    """

    parameters: int
    parameters_projected: int
    multiply_adds: int
    multiply_adds_normed: int
    multiply_adds_projected: int

    def lines(self) -> list[str]:
        """The numbers with their conventions in words, for printing."""
        return [
            f'weights of the branches (paper):          {self.parameters:,}',
            f'weights with projection:                  {self.parameters_projected:,}',
            f'multiply-adds of the branches:            {self.multiply_adds / 1e9:.3f} G',
            f'... + 1 per output and position (paper):  {self.multiply_adds_normed / 1e9:.3f} G',
            f'multiply-adds with projection:            {self.multiply_adds_projected / 1e9:.3f} G',
        ]


def window_size(feature: tuple[int, int], grid: tuple[int, int]) -> tuple[int, int]:
    """The pooling window of the published code: the feature's size over the grid, at least 1."""
    return max(1, feature[0] // grid[0]), max(1, feature[1] // grid[1])


def cell_cost(
    cell: Cell,
    in_channels: int,
    size: tuple[int, int],
    filters: int = 256,
    channels: int = 256,
    pooling: str = 'grid',
) -> CellCost:
    """Count a cell.

    Args:
        cell: The cell.
        in_channels: Channels of the backbone's feature.
        size: (height, width) of that feature.
        filters: Output channels of every branch.
        channels: Output channels of the projection.
        pooling: ``grid`` or ``window``, see `DensePredictionCell`; the 1x1 convolution
            after a pooling runs on as many positions as the pooling leaves.

    Returns:
        The counts.

    Raises:
        ValueError: A size or a number of channels below 1, or an unknown pooling.
    """
    given = dict(in_channels=in_channels, filters=filters, channels=channels)
    check_whole(1, **given, height=size[0], width=size[1])
    check_one_of('pooling', pooling, POOLING_MODES)
    positions = size[0] * size[1]
    parameters = multiply_adds = normed = 0
    for branch in cell.branches:
        source = in_channels if branch.input == FEATURE else filters
        weights = source * filters
        at = positions
        if branch.op.kind == SEP3X3:
            weights += 9 * source
        elif branch.op.kind == POOL:
            if pooling == 'grid':
                at = branch.op.size[0] * branch.op.size[1]
            else:
                window = window_size(size, branch.op.size)
                at = (size[0] - window[0] + 1) * (size[1] - window[1] + 1)
        parameters += weights
        multiply_adds += weights * at
        normed += filters * at
    projection = len(cell) * filters * channels
    return CellCost(
        parameters=parameters,
        parameters_projected=parameters + projection,
        multiply_adds=multiply_adds,
        multiply_adds_normed=multiply_adds + normed,
        multiply_adds_projected=multiply_adds + projection * positions,
    )
