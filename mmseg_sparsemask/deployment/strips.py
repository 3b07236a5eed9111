"""Stages computed strip by strip, in the cache, for inference on CPUs.

The last stage is the decoder's largest map and is only ever activated and classified, so it is
never written as a whole. `stage_in_strips` computes any stage with PyTorch's operations in place,
`classify_strips_in_graph` computes the last one with operations that exported files have.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_sparsemask.deployment.resizing import Resizing, resize, strip_rows
from mmseg_sparsemask.models.decode_heads.upsampling import STRIP, as_map, strips_of

#: The classes of a strip are computed as a multiple of this, which fills a register.
LANES = 8
#: Most strips of a map in an exported file, each with operations of its own; more make the file
#: larger and its export slower, and win nothing (docs/performance_details.md).
GRAPH_STRIPS = 8

#: Torch 2.6 does not tell exporting from compiling.
is_exporting = getattr(torch.compiler, 'is_exporting', torch.compiler.is_compiling)


#: Rows (N h w, C) of each source of a convolution, its part (C, K) of the weight, and the bias.
Factors = tuple[Sequence[Tensor], Sequence[Tensor], Tensor | None]


def multiplied(factors: Factors, out: Tensor | None = None) -> Tensor:
    """Sum of products, (P, K), accumulated in place: nothing is concatenated."""
    rows, weights, bias = factors
    if bias is None:
        total = torch.mm(rows[0], weights[0], out=out)
    else:
        total = torch.addmm(bias, rows[0], weights[0], out=out)
    for more, weight in zip(rows[1:], weights[1:]):
        total.addmm_(more, weight)
    return total


def stage_in_strips(
    fine: Factors | None,
    maps: Sequence[Tensor],
    like: Tensor,
    act: nn.Module,
    align_corners: bool,
    classifier: nn.Linear | None = None,
) -> Tensor:
    """``act(conv(fine) + sum of the maps, resized to (H, W))``, or the classes of that.

    Args:
        fine: Activated sources of the stage's own size (H, W), and their convolution.
        maps: Each (N, K, h, w); at least one if there is no `fine`.
        like: A map of the stage's size, (N, C, H, W).
        act: Activation, element by element; it may overwrite its input.
        align_corners: Whether corners are aligned in the resizing.
        classifier: From K channels to the classes. The stage itself is then never written as a
            whole.

    Returns:
        (N, K, H, W), or (N, classes, H, W) with a classifier; in channels_last.
    """
    batch, _, height, width = like.shape
    channels = maps[0].shape[1] if fine is None else fine[1][0].shape[1]
    # Resized along the width only: (N, h, W K).
    wide = [
        resize(feature, (feature.shape[2], width), align_corners).permute(0, 2, 3, 1).flatten(2)
        for feature in maps
    ]
    total = batch * height * width
    if classifier is None:
        found = like.new_empty(total, channels)
    else:
        classes = len(classifier.weight)
        padding = -classes % LANES
        weight = F.pad(classifier.weight, (0, 0, 0, padding)).t().contiguous()
        found = like.new_empty(total, classes)
        # Buffers for all strips: they stay in the cache.
        area = min(STRIP, height) * width
        stage, scores = like.new_empty(area, channels), like.new_empty(area, classes + padding)
    for first, last, parts in strips_of(wide, height, align_corners):
        count = (last - first) * width
        for image in range(batch):
            start = (image * height + first) * width
            seen = slice(start, start + count)
            strip = found[seen] if classifier is None else stage[:count]
            if fine is None:
                strip.zero_()
            else:
                multiplied(([rows[seen] for rows in fine[0]], *fine[1:]), out=strip)
            tall = strip.view(last - first, width * channels)
            for matrix, source in parts:
                tall.addmm_(matrix, source[image])
            active = act(strip)
            if classifier is None:
                strip.copy_(active)
            else:
                logits = torch.mm(active, weight, out=scores[:count])[:, :classes]
                torch.add(logits, classifier.bias, out=found[seen])
    return as_map(found, like)


def classify_strips_in_graph(
    fine: Sequence[tuple[Tensor, nn.Module]],
    maps: Sequence[Tensor],
    coarse: Resizing | None,
    act: nn.Module,
    classifier: nn.Module,
    height: int,
    strips: int,
) -> Tensor:
    """``classifier(act(conv(fine) + sum of maps + coarse))``, written out for a graph.

    Args:
        fine: Activated sources of the stage's own size, (N, C, H, W), with their convolutions.
        maps: Each (N, K, H, W).
        coarse: Sum of coarser maps, (N, K, H, W) once it is resized.
        act: Activation, element by element.
        classifier: From K channels to the classes.
        height: H.
        strips: Their number.

    Returns:
        (N, classes, H, W).
    """
    logits = []
    for place in range(strips):
        rows = strip_rows(height, place, strips)
        terms = [conv(joined[:, :, rows]) for joined, conv in fine]
        terms += [feature[:, :, rows] for feature in maps]
        if coarse is not None:
            terms.append(coarse.strip(place, strips))
        logits.append(classifier(act(sum(terms[1:], terms[0]))))
    return torch.cat(logits, 2)
