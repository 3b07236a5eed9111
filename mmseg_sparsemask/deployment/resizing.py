"""The sum of bilinearly resized maps in a form that runtimes run fast.

A runtime's resize visits every output alone, and each addition reads and writes a map of the full
size again. Bilinear resizing is a product with one matrix for each axis, so coarse maps, whose
matrices are small, are resized by two products: each map's width by one, and the heights of all
maps together by another, which adds the maps up as well. The matrices depend on sizes alone and are
computed in the graph, so any size works.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_sparsemask.models.decode_heads.upsampling import matrix_like

#: From this ratio of strides on a map is resized by products; below, a row of the matrix has so
#: many numbers that the library's resize, which skips the zeros, is faster.
PRODUCT_RATIO = 8


def resize(feature: Tensor, size: Sequence[int], align_corners: bool) -> Tensor:
    """One map (N, K, h, w), resized bilinearly to (H, W) by the library."""
    return F.interpolate(feature, tuple(size), mode='bilinear', align_corners=align_corners)


class Resizing:
    """Sum of maps, each resized bilinearly to one size, by matrix products.

    The widths come first, where maps are small, and the heights of all maps at once last: one
    product, which also adds the maps up.

    Args:
        maps: Each (N, K, h, w).
        size: (H, W).
        align_corners: As of `torch.nn.functional.interpolate`.
    """

    def __init__(self, maps: Sequence[Tensor], size: Sequence[int], align_corners: bool) -> None:
        self.height, width = size
        self.wide, self.matrices = [], []
        for feature in maps:
            rows, columns = feature.shape[-2:]
            across = matrix_like(feature, columns, width, align_corners)
            self.wide.append(torch.matmul(feature, across.t()))
            self.matrices.append(matrix_like(feature, rows, self.height, align_corners))

    def sum(self) -> Tensor:
        """The whole sum, (N, K, H, W)."""
        return torch.matmul(torch.cat(self.matrices, 1), torch.cat(self.wide, 2))

    def strip(self, place: int, strips: int) -> Tensor:
        """One of `strips` parts of the height, (N, K, its rows, W), from the rows that it needs."""
        rows = strip_rows(self.height, place, strips)
        matrices, wide = [], []
        for feature, matrix in zip(self.wide, self.matrices):
            height = feature.shape[2]
            # Between these rows lie the strip's: their places differ by two rows. As a tensor, not
            # a slice: the exporter compares a slice's ends with the maps' sizes, which are unknown.
            needed = _arange(height // strips + 4, feature) + (height * place // strips - 1)
            # Rows outside the map, which the first and the last strip ask for, count nothing.
            inside = torch.minimum(needed.clamp(min=0), _arange(height, feature)[-1])
            matrices.append(matrix[rows].index_select(1, inside) * (needed == inside))
            wide.append(feature.index_select(2, inside))
        return torch.matmul(torch.cat(matrices, 1), torch.cat(wide, 2))


def strip_rows(height: int, place: int, strips: int) -> slice:
    """Rows of one of `strips` parts of a map."""
    return slice(height * place // strips, height * (place + 1) // strips)


def _arange(length: int, like: Tensor) -> Tensor:
    return torch.arange(length, device=like.device)
