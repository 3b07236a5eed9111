"""Sum of bilinearly upsampled maps.

`upsample_sum` is the plain form: one resize and one addition a map. On a CPU that is bound by
memory: each resize writes, and each addition reads and writes, a map of the full size. `strip_sum`
computes the same rows of the output from all maps at once, while they are in the cache: a strip of
output rows is a small matrix of interpolation weights times the few source rows it touches,
accumulated in place.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

#: Output rows of one strip; measured to be best on CPUs (docs/performance.md).
STRIP = 8


def upsample(feature: Tensor, size: Sequence[int], align_corners: bool) -> Tensor:
    """Bilinear resize to a size (height, width), not by a factor; nothing to do if it has it."""
    if tuple(feature.shape[-2:]) == tuple(size):
        return feature
    return F.interpolate(feature, size=tuple(size), mode='bilinear', align_corners=align_corners)


def upsample_sum(
    base: Tensor | None, maps: Sequence[Tensor], size: Sequence[int], align_corners: bool
) -> Tensor:
    """``base`` plus all maps, resized: (N, K, H, W).

    Args:
        base: (N, K, H, W) or None.
        maps: Each (N, K, h, w); at least one if there is no base.
        size: (H, W).
        align_corners: Of the resizing.
    """
    if maps and _strips_pay(maps[0]):
        return strip_sum(base, maps, size, align_corners)
    total = base
    for feature in maps:
        resized = upsample(feature, size, align_corners)
        total = resized if total is None else total + resized
    return total


def strip_sum(
    base: Tensor | None, maps: Sequence[Tensor], size: Sequence[int], align_corners: bool
) -> Tensor:
    """`upsample_sum`, strip by strip. Needs maps in channels_last; overwrites `base`."""
    height, width = size
    if base is None:
        first = maps[0]
        base = first.new_zeros(first.shape[0], height, width, first.shape[1]).permute(0, 3, 1, 2)
    # Along the width by the library: these maps are still few rows high.
    wide = [upsample(feature, (feature.shape[-2], width), align_corners) for feature in maps]
    wide = [feature.contiguous(memory_format=torch.channels_last) for feature in wide]
    return _StripSum.apply(base.contiguous(memory_format=torch.channels_last), align_corners, *wide)


def _strips_pay(feature: Tensor) -> bool:
    # Elsewhere a compiler fuses the plain form into one kernel, or an exporter wants to see it.
    return feature.device.type == 'cpu' and not (
        torch.compiler.is_compiling() or torch.jit.is_tracing() or torch.onnx.is_in_onnx_export()
    )


class _StripSum(torch.autograd.Function):
    """Adds maps (N, K, h, W), upsampled along the height, to a base (N, K, H, W) in place."""

    @staticmethod
    def forward(ctx, base: Tensor, align_corners: bool, *maps: Tensor) -> Tensor:
        ctx.mark_dirty(base)
        ctx.align_corners = align_corners
        ctx.heights = [feature.shape[-2] for feature in maps]
        for strip, parts in _strips(base, maps, align_corners):
            for weight, rows in parts:
                strip.addmm_(weight, rows)
        return base

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        grad = grad.contiguous(memory_format=torch.channels_last)
        batch, channels, _, width = grad.shape
        grads = [
            grad.new_zeros(batch, height, width, channels).permute(0, 3, 1, 2)
            for height in ctx.heights
        ]
        for strip, parts in _strips(grad, grads, ctx.align_corners):
            for weight, rows in parts:
                rows.addmm_(weight.t(), strip)
        return grad, None, *grads


def _strips(large: Tensor, maps: Sequence[Tensor], align_corners: bool):
    """Pairs of a strip of `large` and the parts of `maps` it meets, as matrices.

    Yields:
        The strip (R, W K), a view, and for each map the interpolation weights (R, k) and the
        source rows (k, W K), a view.
    """
    batch, channels, height, width = large.shape
    weights = [
        interpolation_matrix(feature.shape[-2], height, align_corners, large.dtype)
        for feature in maps
    ]
    large_rows = _image_rows(large)
    map_rows = [_image_rows(feature) for feature in maps]
    for first in range(0, height, STRIP):
        last = min(first + STRIP, height)
        pieces = []
        for weight in weights:
            used = weight[first:last].any(0).nonzero()
            low, high = int(used[0]), int(used[-1]) + 1
            pieces.append((weight[first:last, low:high], low, high))
        for image in range(batch):
            yield (
                large_rows[image, first:last],
                [(w, rows[image, low:high]) for (w, low, high), rows in zip(pieces, map_rows)],
            )


def _image_rows(feature: Tensor) -> Tensor:
    """(N, K, H, W) in channels_last as (N, H, W K), a view."""
    batch, channels, height, width = feature.shape
    return feature.permute(0, 2, 3, 1).view(batch, height, width * channels)


def interpolation_matrix(
    inputs: int, outputs: int, align_corners: bool, dtype: torch.dtype
) -> Tensor:
    """Matrix (outputs, inputs) of bilinear resizing along one axis."""
    identity = torch.eye(inputs, dtype=dtype)[None, None]
    size = (outputs, inputs)
    return F.interpolate(identity, size=size, mode='bilinear', align_corners=align_corners)[0, 0]
