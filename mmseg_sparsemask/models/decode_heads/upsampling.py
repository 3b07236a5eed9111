"""Sum of bilinearly upsampled maps.

The plain form is one resize and one addition a map. On a CPU that is bound by memory: each resize
writes, and each addition reads and writes, a map of the full size. There `_StripSum` computes the
same rows of the output from all maps at once, while they are in the cache: a strip of output rows
is a small matrix of interpolation weights times the few source rows it touches, accumulated in
place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmseg_sparsemask.utils.interpolation import interpolation_matrix

#: Output rows of one strip; measured to be best on CPUs (docs/performance_details.md).
STRIP = 8


def upsample(feature: Tensor, size: Sequence[int], align_corners: bool) -> Tensor:
    """Bilinear resize to a size (height, width), not by a factor; no work if it has that size."""
    if tuple(feature.shape[-2:]) == tuple(size):
        return feature
    return F.interpolate(feature, size=tuple(size), mode='bilinear', align_corners=align_corners)


def upsample_sum(
    rows: Tensor | None, maps: Sequence[Tensor], like: Tensor, align_corners: bool
) -> Tensor:
    """Rows plus all maps, resized.

    Args:
        rows: (N H W, K) or None; may be overwritten.
        maps: Each (N, K, h, w); at least one if there are no rows.
        like: A map of the wanted size (H, W).
        align_corners: Whether corners are aligned in the resizing.

    Returns:
        (N, K, H, W).
    """
    if not maps:
        return as_map(rows, like)
    size = like.shape[-2:]
    if strips_pay(maps[0]):
        if rows is None:
            batch, channels = maps[0].shape[:2]
            rows = maps[0].new_zeros(batch * size[0] * size[1], channels)
        # A view would cost a copy of the whole in the backward pass of an in-place operation.
        rows = rows.clone() if rows._is_view() else rows
        return as_map(_StripSum.apply(rows, size, align_corners, *maps), like)
    total = None if rows is None else as_map(rows, like)
    for feature in maps:
        resized = upsample(feature, size, align_corners)
        total = resized if total is None else total + resized
    return total


def as_rows(feature: Tensor) -> Tensor:
    """(N, C, h, w) as (N h w, C); no copy when the layout is channels_last."""
    return feature.permute(0, 2, 3, 1).flatten(0, 2)


def as_map(rows: Tensor, like: Tensor) -> Tensor:
    """(N h w, K) as (N, K, h, w) in channels_last, with the size of another map."""
    batch, _, height, width = like.shape
    return rows.view(batch, height, width, -1).permute(0, 3, 1, 2)


def strips_pay(feature: Tensor) -> bool:
    """Whether to work strip by strip: on a CPU, unless a compiler or exporter is looking.

    Not in half precision: what is accumulated is rounded each time, and constants would not stay
    constant.
    """
    exact = feature.device.type == 'cpu' and feature.dtype not in (torch.float16, torch.bfloat16)
    return exact and not (
        torch.compiler.is_compiling() or torch.jit.is_tracing() or torch.onnx.is_in_onnx_export()
    )


class _StripSum(torch.autograd.Function):
    """Adds maps (N, K, h, w), resized to (H, W), to rows (N H W, K) in place."""

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, size: Sequence[int], align_corners: bool, *maps: Tensor
    ) -> Tensor:
        ctx.mark_dirty(rows)
        ctx.size, ctx.align_corners = size, align_corners
        ctx.shapes = [feature.shape for feature in maps]
        # Along the width the library's kernel will do: few rows.
        wide = [upsample(feature, (feature.shape[-2], size[1]), align_corners) for feature in maps]
        sources = [feature.permute(0, 2, 3, 1).flatten(2) for feature in wide]
        large = rows.view(len(maps[0]), size[0], -1)
        for first, last, parts in strips_of(sources, size[0], align_corners):
            for image, strip in enumerate(large[:, first:last]):
                for weight, source in parts:
                    strip.addmm_(weight, source[image])
        return rows

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        height, width = ctx.size
        wide = grad.view(-1, height, width, grad.shape[1]).permute(0, 3, 1, 2)
        # The library's own adjoint; strips of it measured slower.
        grads = [
            torch.ops.aten.upsample_bilinear2d_backward(wide, ctx.size, shape, ctx.align_corners)
            for shape in ctx.shapes
        ]
        return grad, None, None, *grads


def strips_of(
    maps: Sequence[Tensor], height: int, align_corners: bool
) -> Iterator[tuple[int, int, list[tuple[Tensor, Tensor]]]]:
    """Strips of a sum of maps resized to a height: a few of its rows, and what they need.

    Args:
        maps: Each (N, h, W K).
        height: H.
        align_corners: Whether corners are aligned in the resizing.

    Yields:
        The first row and the one after the last, and for each map the interpolation weights
        (rows, k) and the part of the map that they meet (N, k, W K).
    """
    matrices = [matrix_like(rows, rows.shape[1], height, align_corners) for rows in maps]
    used = [(matrix != 0).numpy() for matrix in matrices]
    for first in range(0, height, STRIP):
        last = min(first + STRIP, height)
        parts = []
        for rows, matrix, nonzero in zip(maps, matrices, used):
            columns = nonzero[first:last].any(0).nonzero()[0]
            needed = slice(int(columns[0]), int(columns[-1]) + 1)
            parts.append((matrix[first:last, needed], rows[:, needed]))
        yield first, last, parts


def matrix_like(like: Tensor, inputs: int, outputs: int, align_corners: bool) -> Tensor:
    """`interpolation_matrix` with the dtype and on the device of another tensor."""
    arange = partial(torch.arange, dtype=torch.float64, device=like.device)
    return interpolation_matrix(inputs, outputs, align_corners, arange).to(like.dtype)
