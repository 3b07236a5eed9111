"""The last stage and its classifier in one pass over the output, for inference on CPUs.

``D1`` is the decoder's largest map and is only ever activated and classified. Computed strip by
strip, in the cache, it is never written as a whole: `classify_strips` with PyTorch's operations in
place, `classify_strips_in_graph` with operations that exported files have.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_sparsemask.deployment.resizing import Resizing, interpolation_matrix, resize, strip_rows
from mmseg_sparsemask.models.decode_heads.upsampling import STRIP

#: The classes of a strip are computed as a multiple of this, which fills a register.
LANES = 8
#: Strips of a map in an exported file, each with operations of its own; more make the file larger
#: and its export slower, and win nothing (docs/performance_details.md).
GRAPH_STRIPS = 8

#: Torch 2.6 does not tell exporting from compiling.
is_exporting = getattr(torch.compiler, 'is_exporting', torch.compiler.is_compiling)


#: Rows (N h w, C) of each source of a convolution, its part (C, K) of the weight, and the bias.
Factors = tuple[Sequence[Tensor], Sequence[Tensor], Tensor | None]


def classify_strips(
    fine: Factors | None,
    maps: Sequence[Tensor],
    act: nn.Module,
    classifier: nn.Linear,
    size: Sequence[int],
    align_corners: bool,
) -> Tensor:
    """``classifier(act(conv(fine) + sum of the maps, resized to (H, W)))``.

    Args:
        fine: Activated sources of the stage's own size (H, W), and their convolution.
        maps: Each (N, K, h, w); at least one if there is no `fine`.
        act: Activation, element by element.
        classifier: From K channels to the classes.
        size: (H, W).
        align_corners: Of the resizing.

    Returns:
        (N, classes, H, W), in channels_last.
    """
    height, width = size
    classes, channels = classifier.weight.shape
    some = maps[0] if fine is None else fine[0][0]
    # Resized along the width only: (N, h, W K).
    wide = [
        resize(feature, (feature.shape[2], width), align_corners).permute(0, 2, 3, 1).flatten(2)
        for feature in maps
    ]
    padding = -classes % LANES
    weight = F.pad(classifier.weight, (0, 0, 0, padding)).t().contiguous()
    bias = F.pad(classifier.bias, (0, padding))[:classes]
    batch = len(maps[0]) if fine is None else len(some) // (height * width)
    if fine is not None:
        sources, weights, start = fine
        start = some.new_zeros(1, channels) if start is None else start
    logits = some.new_empty(batch, height, width, classes)
    # Buffers for all strips: they stay in the cache.
    area = min(STRIP, height) * width
    stage, scores = some.new_empty(area, channels), some.new_empty(area, classes + padding)
    heights = [feature.shape[2] for feature in maps]
    for first, last, parts in _pieces(heights, height, align_corners, some):
        strip = stage[: (last - first) * width]
        tall = strip.view(last - first, width * channels)
        for image in range(batch):
            if fine is None:
                strip.zero_()
            else:
                seen = slice((image * height + first) * width, (image * height + last) * width)
                torch.addmm(start, sources[0][seen], weights[0], out=strip)
                for rows, part in zip(sources[1:], weights[1:]):
                    strip.addmm_(rows[seen], part)
            for (matrix, low, high), source in zip(parts, wide):
                tall.addmm_(matrix, source[image, low:high])
            found = torch.mm(act(strip), weight, out=scores[: len(strip)])[:, :classes]
            torch.add(found, bias, out=logits[image, first:last].view(-1, classes))
    return logits.permute(0, 3, 1, 2)


def classify_strips_in_graph(
    fine: Sequence[tuple[Tensor, nn.Module]],
    maps: Sequence[Tensor],
    coarse: Resizing | None,
    act: nn.Module,
    classifier: nn.Module,
    height: int,
) -> Tensor:
    """``classifier(act(conv(fine) + sum of maps + coarse))``, written out for a graph.

    Args:
        fine: Activated sources of the stage's own size, (N, C, H, W), with their convolutions.
        maps: Each (N, K, H, W).
        coarse: Sum of coarser maps, (N, K, H, W) once it is resized.
        act: Activation, element by element.
        classifier: From K channels to the classes.
        height: H.

    Returns:
        (N, classes, H, W).
    """
    logits = []
    for place in range(GRAPH_STRIPS):
        rows = strip_rows(height, place, GRAPH_STRIPS)
        terms = [conv(joined[:, :, rows]) for joined, conv in fine]
        terms += [feature[:, :, rows] for feature in maps]
        if coarse is not None:
            terms.append(coarse.strip(place, GRAPH_STRIPS))
        logits.append(classifier(act(sum(terms[1:], terms[0]))))
    return torch.cat(logits, 2)


def _pieces(
    heights: Sequence[int], height: int, align_corners: bool, like: Tensor
) -> Iterator[tuple[int, int, list[tuple[Tensor, int, int]]]]:
    """First and last row of each strip, and for each map (weights (R, k), first, last row)."""
    matrices = [interpolation_matrix(inputs, height, align_corners, like) for inputs in heights]
    used = [(matrix != 0).numpy() for matrix in matrices]
    for first in range(0, height, STRIP):
        last = min(first + STRIP, height)
        parts = []
        for matrix, nonzero in zip(matrices, used):
            columns = nonzero[first:last].any(0).nonzero()[0]
            low, high = int(columns[0]), int(columns[-1]) + 1
            parts.append((matrix[first:last, low:high], low, high))
        yield first, last, parts
