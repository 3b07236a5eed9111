"""Loading of boundaries."""

from __future__ import annotations

import mmengine.fileio as fileio
import numpy as np
from mmseg.registry import TRANSFORMS

from mmseg_sparsemask.binary_maps.loading import LoadTruth
from mmseg_sparsemask.datasets.reading import read_raw_image
from mmseg_sparsemask.edges.files import parse_bsds_mat
from mmseg_sparsemask.utils.checks import check_one_of

IGNORE = 255


def consensus_label(boundaries: np.ndarray, minority: str = 'ignore') -> np.ndarray:
    """One training label from the boundaries of several annotators.

    Args:
        boundaries: (K, H, W), nonzero = boundary.
        minority: What becomes of pixels that some, but no majority of the annotators marks:
            ``'ignore'`` or ``'negative'``.

    Returns:
        (H, W) uint8: 1 where more than half of the annotators mark a boundary, 0 where none does,
        and 255 or 0 between.

    Raises:
        ValueError: On another ``minority`` or without annotators.
    """
    check_one_of('minority', minority, ('ignore', 'negative'))
    boundaries = np.asarray(boundaries) != 0
    if boundaries.ndim != 3 or len(boundaries) == 0:
        raise ValueError(f'expected (K, H, W) with K >= 1, got shape {boundaries.shape}')
    votes = boundaries.sum(axis=0)
    label = np.zeros(boundaries.shape[1:], dtype=np.uint8)
    if minority == 'ignore':
        label[votes > 0] = IGNORE
    label[2 * votes > len(boundaries)] = 1
    return label


def boundaries_of(segments: np.ndarray) -> np.ndarray:
    """Boundaries between segments: pixels unlike the one right, below or diagonally below.

    Args:
        segments: Integer map, (H, W).

    Returns:
        (H, W) uint8 in {0, 1}.
    """
    padded = np.pad(segments, ((0, 1), (0, 1)), mode='edge')
    here = padded[:-1, :-1]
    differs = (here != padded[:-1, 1:]) | (here != padded[1:, :-1]) | (here != padded[1:, 1:])
    return differs.astype(np.uint8)


@TRANSFORMS.register_module()
class LoadBSDSBoundaries(LoadTruth):
    """Load the annotators of ``seg_map_path``, a BSDS500 ``.mat`` file.

    Adds ``gt_boundaries``, (K, H, W) uint8 in {0, 1}, which ``EdgeMetric`` needs (name it in
    ``PackSegInputs.meta_keys``), and ``gt_seg_map``, the label of `consensus_label`.
    Later transforms move the label only: in a test pipeline, load after resizing.

    Args:
        minority: See `consensus_label`.
        backend_args: Arguments of the file backend.
    """

    def __init__(self, minority: str = 'ignore', backend_args: dict | None = None) -> None:
        consensus_label(np.zeros((1, 1, 1)), minority)  # refuses a wrong value at once
        super().__init__(backend_args)
        self.minority = minority

    def transform(self, results: dict) -> dict:
        """Load one annotation."""
        path = results['seg_map_path']
        data = fileio.get(path, backend_args=self.backend_args)
        results['gt_boundaries'] = boundaries = parse_bsds_mat(data, path)
        return self.add(results, consensus_label(boundaries, self.minority))

    def __repr__(self) -> str:
        return f'{type(self).__name__}(minority={self.minority!r})'


@TRANSFORMS.register_module()
class LoadInstanceBoundaries(LoadTruth):
    """Load the outlines of the segments in ``seg_map_path``, an image of integer labels.

    Adds what `LoadBSDSBoundaries` adds, with one annotator.

    Args:
        backend_args: Arguments of the file backend.
    """

    def transform(self, results: dict) -> dict:
        """Load one annotation."""
        segments = read_raw_image(results['seg_map_path'], self.backend_args)
        if segments.ndim != 2:
            raise ValueError(
                f'{results["seg_map_path"]} must hold one channel of integer labels, '
                f'got shape {segments.shape}'
            )
        boundaries = boundaries_of(segments)
        results['gt_boundaries'] = boundaries[None]
        return self.add(results, boundaries.copy())
