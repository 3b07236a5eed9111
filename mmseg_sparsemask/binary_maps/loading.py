"""What loading boundaries and masks of salient objects has in common."""

from __future__ import annotations

import numpy as np
from mmcv.transforms import BaseTransform


class LoadTruth(BaseTransform):
    """Base of what loads ``seg_map_path`` as the labels ``gt_seg_map``.

    Args:
        backend_args: Arguments of the file backend.
    """

    def __init__(self, backend_args: dict | None = None) -> None:
        self.backend_args = dict(backend_args) if backend_args else None

    def add(self, results: dict, label: np.ndarray) -> dict:
        """Add the labels (H, W) to what a pipeline has so far.

        Raises:
            ValueError: The image was loaded before, and has another size.
        """
        shape = results.get('ori_shape')
        if shape is not None and tuple(shape[:2]) != label.shape:
            raise ValueError(
                f'{results["seg_map_path"]} is {label.shape}, the image {tuple(shape[:2])} (H, W); '
                'annotation and image must have one size'
            )
        results['gt_seg_map'] = label
        results['seg_fields'].append('gt_seg_map')
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'
