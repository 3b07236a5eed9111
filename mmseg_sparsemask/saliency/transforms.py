"""Loading of saliency masks."""

from __future__ import annotations

import numpy as np
from mmseg.registry import TRANSFORMS

from mmseg_sparsemask.binary_maps.loading import LoadTruth
from mmseg_sparsemask.datasets.reading import grey_of, read_raw_image


@TRANSFORMS.register_module()
class LoadSaliencyMask(LoadTruth):
    """Load ``seg_map_path``, the mask of the salient objects, as labels 0 and 1.

    Understands masks of 0 and 1, of 0 and 255, and grey ones with antialiased or compressed
    outlines, which are cut above 128 as the field does.

    Args:
        backend_args: Arguments of the file backend.
    """

    def transform(self, results: dict) -> dict:
        """Load one mask.

        Raises:
            ValueError: If the mask is in colour, has another size than the image, or its values fit
                none of the three kinds.
        """
        path = results['seg_map_path']
        mask = grey_of(read_raw_image(path, self.backend_args), path)
        highest = mask.max(initial=0)
        if mask.dtype != np.uint8 or 1 < highest <= 128:
            raise ValueError(
                f'{path} has values up to {highest} ({mask.dtype}); expected 0 and 1, 0 and 255, '
                'or 8-bit grey that reaches above 128; is it a map of labels?'
            )
        return self.add(results, (mask > (128 if highest > 1 else 0)).astype(np.uint8))
