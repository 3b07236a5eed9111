"""The sum of bilinearly resized maps in a form that runtimes run fast.

A runtime's resize visits every output alone, and each addition reads and writes a map of the full
size again. Bilinear resizing is a product with one matrix for each axis, so coarse maps, whose
matrices are small, are resized by two products: each map's width by one, and the heights of all
maps together by another, which adds the maps up as well. The matrices depend on sizes alone and are
computed in the graph, in integers up to the last division, so any size works.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

#: From this ratio of strides on a map is resized by products; below, a row of the matrix has so
#: many numbers that the library's resize, which skips the zeros, is faster.
PRODUCT_RATIO = 8


def resize(feature: Tensor, size: Sequence[int], align_corners: bool) -> Tensor:
    """One map (N, K, h, w), resized bilinearly to (H, W) by the library."""
    return F.interpolate(feature, tuple(size), mode='bilinear', align_corners=align_corners)


def resized_sum(maps: Sequence[Tensor], size: Sequence[int], align_corners: bool) -> Tensor:
    """Sum of maps, each resized bilinearly to one size, by matrix products.

    Args:
        maps: Each (N, K, h, w).
        size: (H, W).
        align_corners: As of `torch.nn.functional.interpolate`.

    Returns:
        (N, K, H, W).
    """
    height, width = size
    tall, wide = [], []
    for feature in maps:
        rows, columns = feature.shape[-2:]
        across = interpolation_matrix(columns, width, align_corners, feature)
        wide.append(torch.matmul(feature, across.t()))
        tall.append(interpolation_matrix(rows, height, align_corners, feature))
    return torch.matmul(torch.cat(tall, 1), torch.cat(wide, 2))


def interpolation_matrix(inputs: int, outputs: int, align_corners: bool, like: Tensor) -> Tensor:
    """Matrix (outputs, inputs) of bilinear resizing along one axis.

    Output i lies at ``numerator / denominator`` between the inputs: i (h - 1) / (H - 1) with
    aligned corners, else (i + 1/2) h / H - 1/2, but not outside. Its weight on an input is one
    minus their distance, where that is positive.

    Args:
        inputs: h.
        outputs: H.
        align_corners: As of `torch.nn.functional.interpolate`.
        like: A tensor with the dtype and the device.
    """
    index = torch.arange(outputs, device=like.device)
    if align_corners:
        denominator = outputs - 1 if outputs > 1 else 1
        numerator = index * (inputs - 1)
    else:
        denominator = 2 * outputs
        numerator = ((2 * index + 1) * inputs - outputs).clamp(min=0)
    places = torch.arange(inputs, device=like.device) * denominator
    # Past the last input the last one counts.
    numerator = torch.minimum(numerator, places[-1])
    distance = (numerator[:, None] - places).abs().to(torch.float64)
    return (1 - distance / denominator).clamp(min=0).to(like.dtype)
