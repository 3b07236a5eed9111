"""Scores of boundary detection: ODS, OIS, AP and R50 from per-image match counts.

The protocol is that of the Berkeley benchmark (Arbelaez et al., "Contour Detection and
Hierarchical Image Segmentation", PAMI 2011, section 3): a soft map is cut at each threshold and
thinned; a predicted pixel is right if it matches a pixel of any annotator, and recall sums matched
annotated pixels over all annotators.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mmseg_sparsemask.edges.matching import match_boundaries
from mmseg_sparsemask.edges.nms import edge_nms
from mmseg_sparsemask.utils.checks import check_shares, check_whole
from mmseg_sparsemask.utils.extras import require_extra


def default_thresholds(count: int = 99) -> np.ndarray:
    """Thresholds evenly inside (0, 1): 0.01, 0.02, ..., 0.99 for the benchmark's 99.

    Args:
        count: How many; at least 1.

    Returns:
        Ascending, (count,).

    Raises:
        ValueError: On a count below 1.
    """
    check_whole(1, thresholds=count)
    return np.arange(1, count + 1) / (count + 1)


class EdgeCounts(NamedTuple):
    """Match counts of one image, each an integer array over the thresholds.

    Attributes:
        matched_target: Annotated pixels that found a partner, summed over annotators.
        total_target: Annotated pixels, summed over annotators.
        matched_pred: Predicted pixels that found a partner with at least one annotator.
        total_pred: Predicted pixels.
    """

    matched_target: np.ndarray
    total_target: np.ndarray
    matched_pred: np.ndarray
    total_pred: np.ndarray


@dataclass(frozen=True)
class EdgeScores:
    """Scores of a data set.

    Attributes:
        ods: Best F with one threshold for the whole data set.
        ods_threshold: That threshold, interpolated.
        ods_precision: Precision there.
        ods_recall: Recall there.
        ois: F when each image is cut at its own best threshold.
        ap: Average precision.
        r50: Largest recall at which precision is at least one half.
        thresholds: (T,).
        precision: Precision of the data set at each threshold, (T,).
        recall: Recall of the data set at each threshold, (T,).
        images: Best threshold, recall, precision and F of each image, (N, 4).
    """

    ods: float
    ods_threshold: float
    ods_precision: float
    ods_recall: float
    ois: float
    ap: float
    r50: float
    thresholds: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    images: np.ndarray


def check_inputs(pred: np.ndarray, targets: Sequence[np.ndarray], name: str = '') -> np.ndarray:
    """Validate one prediction against its annotations; see `evaluate_image`."""
    where = f'{name}: ' if name else ''
    pred = np.asarray(pred)
    if pred.ndim != 2:
        raise ValueError(f'{where}prediction must be (H, W), got shape {pred.shape}')
    if not np.issubdtype(pred.dtype, np.floating):
        raise ValueError(
            f'{where}prediction must be floating point in [0, 1], got {pred.dtype}; '
            'divide an 8-bit map by 255'
        )
    check_shares(pred, f'{where}prediction')
    if len(targets) == 0:
        raise ValueError(f'{where}expected at least one annotation, got none')
    for target in targets:
        if np.shape(target) != pred.shape:
            raise ValueError(
                f'{where}prediction is {pred.shape}, an annotation {np.shape(target)} (H, W); '
                'resize the prediction to the original image'
            )
    return pred


def thin_lines(mask: np.ndarray) -> np.ndarray:
    """Thin a boundary map to lines one pixel wide.

    Args:
        mask: (H, W) boolean.

    Returns:
        (H, W) boolean, a subset of mask.

    Raises:
        ImportError: Without scikit-image, which only this needs.
    """
    # Not at the top: the plugin imports this module, and scikit-image is optional.
    require_extra('skimage', 'edge')
    from skimage.morphology import thin

    return np.asarray(thin(mask))  # type: ignore[no-untyped-call, unused-ignore]


def evaluate_image(
    pred: np.ndarray,
    targets: Sequence[np.ndarray],
    thresholds: Sequence[float] | np.ndarray,
    max_dist: float = 0.0075,
    nms: bool = False,
    thinning: bool = True,
    border: int = 5,
    name: str = '',
) -> EdgeCounts:
    """Match one soft boundary map with all its annotations at each threshold.

    Args:
        pred: Boundary probability in [0, 1], (H, W).
        targets: Boundary map of each annotator, (H, W), nonzero = boundary.
        thresholds: Cut levels; a pixel is predicted where pred >= threshold.
        max_dist: Tolerance as a share of the image diagonal.
        nms: Apply `~mmseg_sparsemask.edges.nms.edge_nms` first.
        thinning: Thin each cut map to lines one pixel wide.
        border: Width in pixels of the frame that ``nms`` fades.
        name: Name of the image, for error messages.

    Returns:
        The counts at each threshold.

    Raises:
        ValueError: On maps of different size, values outside [0, 1], or no annotation.
    """
    pred = check_inputs(pred, targets, name)
    masks = [np.asarray(target) != 0 for target in targets]
    if nms:
        pred = edge_nms(pred, border=border)
    counts = np.zeros((4, len(thresholds)), dtype=np.int64)
    counts[1] = sum(mask.sum() for mask in masks)
    previous: np.ndarray | None = None
    for i, threshold in enumerate(thresholds):
        cut = pred >= threshold
        if previous is not None and np.array_equal(cut, previous):
            counts[:, i] = counts[:, i - 1]
            continue
        previous = cut
        if not cut.any():
            continue
        lines = thin_lines(cut) if thinning else cut
        found = np.zeros_like(cut)
        for mask in masks:
            matched_pred, matched_target = match_boundaries(lines, mask, max_dist)
            found |= matched_pred
            counts[0, i] += matched_target.sum()
        counts[2, i] = found.sum()
        counts[3, i] = lines.sum()
    return EdgeCounts(*counts)


def precision_recall(counts: EdgeCounts) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall at each threshold; 0 where nothing is predicted or annotated."""
    precision = counts.matched_pred / np.maximum(counts.total_pred, 1)
    recall = counts.matched_target / np.maximum(counts.total_target, 1)
    return precision, recall


def f_measure(precision: np.ndarray, recall: np.ndarray) -> np.ndarray:
    """Harmonic mean of precision and recall, 0 where both are 0."""
    precision, recall = np.asarray(precision, float), np.asarray(recall, float)
    total = precision + recall
    return np.where(total > 0, 2 * precision * recall / np.where(total > 0, total, 1), 0.0)


def _dense(values: np.ndarray) -> np.ndarray:
    """A hundred points, ends included, on each stretch between neighbours."""
    if len(values) == 1:
        return values
    share = np.linspace(0, 1, 100)
    return (values[:-1, None] * (1 - share) + values[1:, None] * share).ravel()


def best_f(
    thresholds: np.ndarray, precision: np.ndarray, recall: np.ndarray
) -> tuple[float, float, float, float]:
    """Best F with thresholds, precision and recall interpolated linearly between neighbours.

    Returns:
        Threshold, recall, precision and F of the best point; the lowest threshold among equals.
    """
    t, p, r = (_dense(np.asarray(v, float)) for v in (thresholds, precision, recall))
    f = f_measure(p, r)
    i = int(np.argmax(f))
    return float(t[i]), float(r[i]), float(p[i]), float(f[i])


def average_precision(precision: np.ndarray, recall: np.ndarray) -> float:
    """Precision interpolated at recall 0, 0.01, ..., 1, outside the range zero, times 0.01.

    A detector whose recall never varies (a binary map) has a curve of one point and hence an
    average precision of at most 0.01: the score is meant for soft maps.
    """
    unique, first = np.unique(recall, return_index=True)
    grid = np.arange(101) / 100
    # A recall of 1 - 1e-16 must not lose the last point of the grid.
    inside = (grid >= unique[0] - 1e-9) & (grid <= unique[-1] + 1e-9)
    sampled = np.interp(grid[inside], unique, np.asarray(precision, float)[first])
    return float(min(sampled.sum() * 0.01, 1.0))


def recall_at_half(counts: EdgeCounts) -> float:
    """Largest recall on the interpolated curve with precision of at least 0.5, 0 without any.

    Thresholds that predict nothing have no precision and take no part.
    """
    some = counts.total_pred > 0
    if not some.any():
        return 0.0
    precision, recall = (v[some] for v in precision_recall(counts))
    best = recall[precision >= 0.5].max(initial=0.0)
    # On a stretch that crosses one half the crossing point itself counts too.
    above = precision - 0.5
    for i in np.flatnonzero(above[:-1] * above[1:] < 0):
        share = above[i] / (above[i] - above[i + 1])
        best = max(best, recall[i] + share * (recall[i + 1] - recall[i]))
    return float(best)


def summarise(
    counts: Iterable[Sequence[np.ndarray]], thresholds: Sequence[float] | np.ndarray
) -> EdgeScores:
    """Scores of a data set from the counts of its images.

    ODS takes the best F of the summed counts, interpolated between thresholds. For OIS each image
    contributes its counts at its own best threshold (not interpolated), and F is that of the sums.

    Args:
        counts: Counts of each image, over the same thresholds.
        thresholds: Ascending cut levels, (T,).

    Returns:
        All scores, the curve of the data set and the best point of each image.

    Raises:
        ValueError: Without images, or if the counts do not fit the thresholds.
    """
    # MMEngine makes plain tuples of named ones where it collects results.
    by_image = [EdgeCounts(*image) for image in counts]
    thresholds = np.asarray(thresholds, float)
    if not by_image:
        raise ValueError('no images to score; check the data set and its file names')
    if any(np.shape(image) != (4, len(thresholds)) for image in by_image):
        raise ValueError(f'counts must cover the {len(thresholds)} thresholds of the summary')
    total = EdgeCounts(*np.sum(by_image, axis=0))
    chosen, images = [], []
    for image in by_image:
        precision, recall = precision_recall(image)
        images.append(best_f(thresholds, precision, recall))
        chosen.append(np.stack(image)[:, np.argmax(f_measure(precision, recall))])
    ois = float(f_measure(*precision_recall(EdgeCounts(*np.sum(chosen, axis=0)))))
    precision, recall = precision_recall(total)
    threshold, ods_recall, ods_precision, ods = best_f(thresholds, precision, recall)
    return EdgeScores(
        ods=ods,
        ods_threshold=threshold,
        ods_precision=ods_precision,
        ods_recall=ods_recall,
        ois=ois,
        ap=average_precision(precision, recall),
        r50=recall_at_half(total),
        thresholds=thresholds,
        precision=precision,
        recall=recall,
        images=np.asarray(images),
    )
