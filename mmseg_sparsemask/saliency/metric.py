"""Salient object detection in the toolbox's evaluation loop."""

from __future__ import annotations

import numpy as np
from mmseg.registry import METRICS

from mmseg_sparsemask.binary_maps.metric import ProbabilityMapMetric, to_uint8
from mmseg_sparsemask.saliency.scores import SaliencyCounts, score_image, summarise


@METRICS.register_module()
class SaliencyMetric(ProbabilityMapMetric):
    """Max, mean and adaptive F-beta (beta^2 = 0.3), MAE, S-measure and E-measure.

    Needs a one-channel output (``out_channels=1``) and labels 0 and 1 at the image's original
    size. Scores are those of the 8-bit map that ``output_dir`` receives; see
    `mmseg_sparsemask.saliency.scores` for the definitions.

    Args:
        stretch: Spread each map to the full range first, as the usual toolboxes do.
        **kwargs: See `ProbabilityMapMetric`.
    """

    default_prefix = map_kind = 'saliency'

    def __init__(self, stretch: bool = True, **kwargs) -> None:
        super().__init__(**kwargs)
        self.stretch = stretch

    def score(self, sample: dict, prob: np.ndarray, name: str) -> SaliencyCounts:
        """Score one image.

        Raises:
            ValueError: Without a mask, or on one with other values than 0 and 1 or of another size.
        """
        if 'gt_sem_seg' not in sample:
            raise ValueError(
                f'{name}: gt_sem_seg is missing; load masks with LoadSaliencyMask, or write the '
                'maps of images without masks with format_only=True'
            )
        label = sample['gt_sem_seg']['data'].squeeze(0).cpu().numpy()
        if not np.isin(label, (0, 1)).all():
            raise ValueError(
                f'{name}: the mask has the values {np.unique(label)[:8]}, expected 0 and 1; '
                'load masks with LoadSaliencyMask'
            )
        return score_image(to_uint8(prob), label == 1, self.stretch, name)

    def summarise(self, contributions: list, names: list[str]) -> dict[str, float]:
        """See `~mmseg_sparsemask.saliency.scores.summarise`."""
        return summarise(contributions)
