"""Scores of salient object detection on 8-bit maps, as the usual toolboxes define them.

MAE, F-beta (Achanta et al., CVPR 2009), S-measure (Fan et al., ICCV 2017) and E-measure (Fan et
al., IJCAI 2018). Predictions are taken as the 8-bit maps that are written to disk, so that the
numbers of a run equal those of any tool that reads its PNG files. Values agree with
PySODMetrics; see ``tests/saliency/golden``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike

from mmseg_sparsemask.binary_maps.metric import to_uint8 as to_uint8

BETA_SQUARED = 0.3
"""Weight of precision in F-beta, the field's convention."""

LEVELS = np.arange(1, 256)
"""The 255 cut levels: a pixel is salient where its value is at least the level. Level 0 would call
every pixel of every image salient."""

_EPS = np.spacing(1.0)


@dataclass(frozen=True)
class SaliencyCounts:
    """Everything one image contributes.

    Attributes:
        mae: Mean absolute error in [0, 1].
        precision: At each of the 255 levels, (255,).
        recall: At each of the 255 levels, (255,).
        adaptive_f: F-beta at twice the mean of the map.
        s_measure: Structure measure.
        e_curve: Enhanced-alignment measure at each of the 255 levels, (255,).
        adaptive_e: Enhanced-alignment measure at twice the mean of the map.
    """

    mae: float
    precision: np.ndarray
    recall: np.ndarray
    adaptive_f: float
    s_measure: float
    e_curve: np.ndarray
    adaptive_e: float


def prepare_map(pred: np.ndarray, stretch: bool = True) -> np.ndarray:
    """Bring an 8-bit map to [0, 1].

    Args:
        pred: (H, W) uint8.
        stretch: Spread the map so that its minimum becomes 0 and its maximum 1, as the field's
            boxes do; a constant map stays as it is.

    Returns:
        (H, W) float64 in [0, 1].

    Raises:
        ValueError: If pred is not a non-empty (H, W) uint8 array.
    """
    pred = np.asarray(pred)
    if pred.dtype != np.uint8 or pred.ndim != 2 or pred.size == 0:
        raise ValueError(
            f'prediction must be a non-empty (H, W) uint8 map, got {pred.dtype} {pred.shape}'
        )
    scaled: np.ndarray = pred / 255.0
    low, high = scaled.min(), scaled.max()
    if stretch and high > low:
        scaled = (scaled - low) / (high - low)
    return scaled


def f_beta(precision: ArrayLike, recall: ArrayLike) -> np.ndarray:
    """``(1 + b) P R / (b P + R)`` with b = `BETA_SQUARED`, 0 where both are 0."""
    precision, recall = np.asarray(precision, float), np.asarray(recall, float)
    below = BETA_SQUARED * precision + recall
    above = (1 + BETA_SQUARED) * precision * recall
    return np.where(below > 0, above / np.where(below > 0, below, 1), 0.0)


def _e_measure(inside: ArrayLike, outside: ArrayLike, objects: int, size: int) -> np.ndarray:
    """Enhanced-alignment measure (Eq. 3 to 5) of binary maps given by their pixel counts.

    The measure averages ``(1 + phi)^2 / 4`` with the alignment ``phi = 2 a b / (a^2 + b^2)`` of
    the two maps a and b after subtracting their means. Binary maps take only four value
    pairs, so counts suffice.

    Args:
        inside: Salient pixels on the object.
        outside: Salient pixels off the object.
        objects: Pixels of the object.
        size: Pixels of the image.
    """
    inside, outside = np.asarray(inside, float), np.asarray(outside, float)
    salient = inside + outside
    if objects == 0:
        total = size - salient
    elif objects == size:
        total = salient
    else:
        mean_pred, mean_gt = salient / size, objects / size
        total = np.zeros_like(salient)
        cells = (
            (inside, 1, 1),
            (outside, 1, 0),
            (objects - inside, 0, 1),
            (size - objects - outside, 0, 0),
        )
        for pixels, pred_value, gt_value in cells:
            a, b = pred_value - mean_pred, gt_value - mean_gt
            phi = 2 * a * b / (a**2 + b**2 + _EPS)
            total = total + pixels * (1 + phi) ** 2 / 4
    score: np.ndarray = total / (size - 1 + _EPS)
    return score


def _object_similarity(values: np.ndarray) -> float:
    """Similarity of a region to a flat 1: high mean, low spread (Eq. 4 of the S-measure)."""
    mean = values.mean()
    spread = values.std(ddof=1) if values.size > 1 else 0.0
    return float(2 * mean / (mean**2 + 1 + spread + _EPS))


def _block_similarity(pred: np.ndarray, gt: np.ndarray) -> float:
    """Structural similarity of one block without stabilising constants (Eq. 6)."""
    if pred.size == 0:
        return 0.0
    norm = pred.size - 1 + _EPS
    mean_p, mean_g = pred.mean(), gt.mean()
    var_p = ((pred - mean_p) ** 2).sum() / norm
    var_g = ((gt - mean_g) ** 2).sum() / norm
    cov = ((pred - mean_p) * (gt - mean_g)).sum() / norm
    above = 4 * mean_p * mean_g * cov
    below = (mean_p**2 + mean_g**2) * (var_p + var_g)
    if above != 0:
        return float(above / (below + _EPS))
    return 1.0 if below == 0 else 0.0


def s_measure(pred: np.ndarray, gt: np.ndarray) -> float:
    """Structure measure: the mean of object-aware and region-aware similarity (alpha = 0.5).

    Args:
        pred: Map in [0, 1], (H, W).
        gt: Boolean mask, (H, W).

    Returns:
        A score in [0, 1].
    """
    share = gt.mean()
    if share == 0:
        return float(1 - pred.mean())
    if share == 1:
        return float(pred.mean())
    objects = share * _object_similarity(pred[gt]) + (1 - share) * _object_similarity(1 - pred[~gt])
    # The blocks meet at the object's centroid; the centroid's own row and column lie up and left.
    row, col = (int(v) + 1 for v in np.argwhere(gt).mean(axis=0).round())
    regions = 0.0
    for rows in (slice(None, row), slice(row, None)):
        for cols in (slice(None, col), slice(col, None)):
            block = gt[rows, cols]
            regions += block.size / gt.size * _block_similarity(pred[rows, cols], block)
    return float(max(0.0, 0.5 * objects + 0.5 * regions))


def score_image(
    pred: np.ndarray, gt: np.ndarray, stretch: bool = True, name: str = ''
) -> SaliencyCounts:
    """Score one map against its mask.

    Args:
        pred: Saliency, (H, W) uint8.
        gt: Mask of the salient objects, (H, W) boolean.
        stretch: See `prepare_map`.
        name: Name of the image, for error messages.

    Returns:
        The image's contribution to the data set's scores. With an empty mask, or a map that
        selects nothing, precision, recall and F are 0.

    Raises:
        ValueError: On wrong types, different sizes, or a single pixel.
    """
    where = f'{name}: ' if name else ''
    gt = np.asarray(gt)
    if gt.dtype != bool:
        raise ValueError(f'{where}mask must be boolean, got {gt.dtype}; compare it with a level')
    if np.shape(pred) != gt.shape:
        raise ValueError(
            f'{where}prediction is {np.shape(pred)}, the mask {gt.shape} (H, W); '
            'resize the prediction to the original image'
        )
    if gt.size == 1:
        raise ValueError(
            f'{where}expected maps of at least 2 pixels, got 1: the E-measure divides by one less'
        )
    prob = prepare_map(pred, stretch)
    objects = int(gt.sum())
    # Salient pixels inside and outside the object at each level.
    level = (prob * 255).astype(np.uint8)
    histograms = (np.bincount(level[part], minlength=256) for part in (gt, ~gt))
    inside, outside = (np.cumsum(pixels[::-1])[::-1][LEVELS] for pixels in histograms)
    precision = inside / np.maximum(inside + outside, 1)
    recall = inside / max(objects, 1)

    cut = prob >= min(2 * prob.mean(), 1.0)
    hit, miss = int((cut & gt).sum()), int((cut & ~gt).sum())
    adaptive_f = f_beta(hit / max(hit + miss, 1), hit / max(objects, 1))
    return SaliencyCounts(
        mae=float(np.abs(prob - gt).mean()),
        precision=precision,
        recall=recall,
        adaptive_f=float(adaptive_f),
        s_measure=s_measure(prob, gt),
        e_curve=_e_measure(inside, outside, objects, gt.size),
        adaptive_e=float(_e_measure(hit, miss, objects, gt.size)),
    )


def summarise(images: Sequence[SaliencyCounts]) -> dict[str, float]:
    """Scores of a data set.

    The maximum and the mean of F are taken over the curve that *averaged precision and averaged
    recall* give, as the literature's max F is; averaging the F curves of the images would give
    another, in general larger or smaller, number. The E curves are averaged over images.

    Args:
        images: Contributions of all images.

    Returns:
        ``max_f``, ``mean_f``, ``adaptive_f``, ``mae``, ``s_measure``, ``max_e``, ``mean_e`` and
        ``adaptive_e``.

    Raises:
        ValueError: Without images.
    """
    if len(images) == 0:
        raise ValueError('no images to score; check the data set and its file names')
    means = {
        field.name: np.mean([getattr(image, field.name) for image in images], axis=0)
        for field in fields(SaliencyCounts)
    }
    curve, e_curve = f_beta(means['precision'], means['recall']), means['e_curve']
    scores = {
        'max_f': curve.max(),
        'mean_f': curve.mean(),
        'adaptive_f': means['adaptive_f'],
        'mae': means['mae'],
        's_measure': means['s_measure'],
        'max_e': e_curve.max(),
        'mean_e': e_curve.mean(),
        'adaptive_e': means['adaptive_e'],
    }
    return {key: float(value) for key, value in scores.items()}
