"""The sum of bilinearly resized maps in a form that runtimes run fast.

A runtime's resize visits every output alone, and each addition reads and writes a map of the full
size again. Here only the widths are resized so, while the maps still have few rows. The heights of
all maps are one matrix product: an eighth of the output depends on about an eighth of each map's rows,
which are gathered side by side, and the product adds the maps up as well. The matrices depend on sizes alone
and are computed in the graph, in integers up to the last division, so any size works.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

#: Parts of the output that are computed from the rows they need. More parts multiply fewer zeros and
#: gather more rows twice.
BLOCKS = 8


def resized_sum(maps: Sequence[Tensor], size: Sequence[int], align_corners: bool) -> Tensor:
    """Sum of maps, each resized bilinearly to one size, which no map exceeds in height.

    Args:
        maps: Each (N, K, h, w).
        size: (H, W).
        align_corners: As of `torch.nn.functional.interpolate`.

    Returns:
        (N, K, H, W).
    """
    height, width = size
    # One row more than needed at least: an exporter takes sizes for fixed that may be 1.
    block = height // BLOCKS + 2
    matrices, sources = [], []
    for feature in maps:
        wide = F.interpolate(
            feature, (feature.shape[-2], width), mode='bilinear', align_corners=align_corners
        )
        matrix, rows = _block_matrices(
            feature.shape[-2], height, block, align_corners, feature.device
        )
        gathered = wide.index_select(2, rows.flatten())
        matrices.append(matrix.to(feature.dtype))
        sources.append(gathered.unflatten(2, (BLOCKS, rows.shape[1])))
    summed = torch.matmul(torch.cat(matrices, -1), torch.cat(sources, -2)).flatten(2, 3)
    # A slice would bind the exporter to sizes of which it can prove that they suffice.
    return summed.index_select(2, torch.arange(height, device=summed.device))


def _block_matrices(
    inputs: int, outputs: int, block: int, align_corners: bool, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Bilinear weights (B, R, L) of each block of R outputs, and the rows (B, L) they are of.

    Output i lies at ``numerator / denominator`` between the inputs: i (h - 1) / (H - 1) with
    aligned corners, else (i + 1/2) h / H - 1/2 but not outside.
    """
    index = torch.arange(BLOCKS, device=device)[:, None] * block
    index = index + torch.arange(block, device=device)
    if align_corners:
        denominator = outputs - 1 if outputs > 1 else 1
        numerator = index * (inputs - 1)
    else:
        denominator = 2 * outputs
        numerator = ((2 * index + 1) * inputs - outputs).clamp(min=0)
    first = torch.div(numerator[:, :1], denominator, rounding_mode='floor')
    count = block * inputs // outputs + 3
    rows = first + torch.arange(count, device=device)
    # Past the last input the last one counts.
    last = torch.full_like(rows[:1, :1], 1) * (inputs - 1)
    numerator = torch.minimum(numerator, last * denominator)
    distance = (numerator[:, :, None] - rows[:, None] * denominator).abs()
    return (1 - distance / denominator).clamp(min=0), torch.minimum(rows, last)
