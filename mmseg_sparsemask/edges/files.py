"""Reading boundary maps from disk: predictions of any program and BSDS500's annotations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mmseg_sparsemask.datasets.matlab import parse_mat
from mmseg_sparsemask.datasets.reading import by_stem, check_partners, decode_image, grey_of
from mmseg_sparsemask.utils.checks import check_shares

PREDICTION_SUFFIXES = ('.png', '.mat')
ANNOTATION_SUFFIXES = ('.mat', '.png')


def parse_bsds_mat(data: bytes, name: str) -> np.ndarray:
    """Boundary maps of all annotators from the bytes of one BSDS500 file.

    Args:
        data: Content of ``groundTruth/<split>/<image>.mat``.
        name: Name of the file, for error messages.

    Returns:
        (K, H, W) uint8 in {0, 1}, one map per annotator in the file's order.

    Raises:
        ValueError: If the content is no such file.
    """
    content = parse_mat(data, name)
    annotators = content.get('groundTruth')
    if not isinstance(annotators, np.ndarray) or annotators.dtype != object:
        raise ValueError(
            f'{name} must hold the variable groundTruth as BSDS500 has it, found {sorted(content)}'
        )
    maps = []
    for cell in annotators.ravel():
        boundaries = _field(cell, 'Boundaries')
        if not isinstance(boundaries, np.ndarray) or boundaries.dtype == object:
            raise ValueError(f'{name}: an annotator has no field Boundaries; is this BSDS500?')
        maps.append((boundaries != 0).astype(np.uint8))
    if not maps:
        raise ValueError(f'{name} holds no annotator')
    shapes = [m.shape for m in maps]
    if len(set(shapes)) > 1 or maps[0].ndim != 2 or not maps[0].size:
        raise ValueError(f'{name}: annotators must have one size (H, W), got {shapes}')
    return np.stack(maps)


def _field(cell: Any, field: str) -> Any:
    """A field of a structure of one element, or None."""
    if isinstance(cell, np.ndarray) and cell.dtype == object and cell.size == 1:
        cell = cell.item()
    return cell.get(field) if isinstance(cell, dict) else None


def _read_grey(path: Path) -> np.ndarray:
    return grey_of(decode_image(path.read_bytes(), str(path)), path)


def read_annotations(path: str | Path) -> np.ndarray:
    """Annotated boundaries from BSDS500's ``.mat`` or a PNG (one annotator, nonzero = boundary).

    Returns:
        (K, H, W) uint8 in {0, 1}.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If its content is of another kind.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'annotation {path} is missing; complete the data set')
    if path.suffix == '.mat':
        return parse_bsds_mat(path.read_bytes(), str(path))
    return (_read_grey(path) != 0).astype(np.uint8)[None]


def read_prediction(path: str | Path) -> np.ndarray:
    """A soft boundary map from a PNG of 8 or 16 bits or from the only array of a ``.mat`` file.

    Returns:
        (H, W) float32 in [0, 1].

    Raises:
        ValueError: If the file holds anything else.
    """
    path = Path(path)
    if path.suffix == '.mat':
        found = parse_mat(path.read_bytes(), str(path), logical=True)
        arrays = {k: v for k, v in found.items() if isinstance(v, np.ndarray) and v.dtype != object}
        maps = [v for v in arrays.values() if v.ndim == 2 and min(v.shape) > 1]
        if len(maps) != 1:
            shapes = {k: v.shape for k, v in arrays.items()}
            raise ValueError(f'{path} must hold exactly one (H, W) array, found {shapes}')
        values = maps[0]
    else:
        values = _read_grey(path)
    if np.issubdtype(values.dtype, np.integer):
        if values.dtype not in (np.uint8, np.uint16):
            raise ValueError(f'{path} holds {values.dtype}; expected 8 or 16 bits or real numbers')
        return (values / np.iinfo(values.dtype).max).astype(np.float32)
    check_shares(values, str(path))
    return values.astype(np.float32)


def find_pairs(pred_dir: str | Path, gt_dir: str | Path) -> list[tuple[str, Path, Path]]:
    """Predictions and annotations of equal stem.

    Args:
        pred_dir: Folder of PNG or ``.mat`` maps.
        gt_dir: Folder of BSDS500 ``.mat`` files or PNG boundaries.

    Returns:
        (name, prediction, annotation), sorted by name.

    Raises:
        FileNotFoundError: If a folder or the prediction of an annotated image is missing.
        ValueError: If there is no annotation, a prediction without one, or a name twice.
    """
    preds = by_stem(pred_dir, PREDICTION_SUFFIXES)
    targets = by_stem(gt_dir, ANNOTATION_SUFFIXES)
    if not targets:
        raise ValueError(f'no annotations ({", ".join(ANNOTATION_SUFFIXES)}) in {gt_dir}')
    check_partners(
        targets,
        preds,
        f'of {len(targets)} annotated images have no prediction in {pred_dir} (predict the split)',
        f'predictions have no annotation in {gt_dir} (is it another split?)',
    )
    return [(name, preds[name], targets[name]) for name in sorted(targets)]
