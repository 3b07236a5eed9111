"""Salient object detection in the toolbox's evaluation loop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmseg.registry import METRICS

from mmseg_sparsemask.evaluation.probability_maps import (
    check_listed_once,
    image_name,
    probability,
    save_map,
)
from mmseg_sparsemask.saliency.scores import score_image, summarise, to_uint8


@METRICS.register_module()
class SaliencyMetric(BaseMetric):
    """Max, mean and adaptive F-beta (beta^2 = 0.3), MAE, S-measure and E-measure.

    Needs a one-channel output (``out_channels=1``) and labels 0 and 1 at the image's original
    size. Scores are those of the 8-bit map that ``output_dir`` receives; see
    `mmseg_sparsemask.saliency.scores` for the definitions.

    Args:
        stretch: Spread each map to the full range first, as the field's boxes do.
        output_dir: Folder for the grey PNG maps; ``tools/test.py --out`` sets it.
        keep_results: Accepted because ``--out`` sets it; the maps are kept anyway.
        format_only: Write the maps and score nothing.
        collect_device: See ``BaseMetric``.
        prefix: Of the names of the scores.

    Raises:
        ValueError: For ``format_only`` without ``output_dir``.
    """

    default_prefix = 'saliency'

    def __init__(
        self,
        stretch: bool = True,
        output_dir: str | None = None,
        keep_results: bool = False,
        format_only: bool = False,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if format_only and output_dir is None:
            raise ValueError('format_only needs output_dir, the folder for the maps')
        self.stretch = stretch
        self.output_dir = output_dir
        self.keep_results = keep_results
        self.format_only = format_only

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Score the images of one batch.

        Raises:
            ValueError: On a mask with other values than 0 and 1, or of another size.
        """
        for sample in data_samples:
            name, prob = image_name(sample), probability(sample)
            if self.output_dir is not None:
                save_map(prob, self.output_dir, name)
            if self.format_only:
                self.results.append((name, None))
                continue
            label = sample['gt_sem_seg']['data'].squeeze(0).cpu().numpy()
            if not np.isin(label, (0, 1)).all():
                raise ValueError(
                    f'{name}: the mask has the values {np.unique(label)[:8]}, expected 0 and 1; '
                    'load masks with LoadSaliencyMask'
                )
            image = score_image(to_uint8(prob), label == 1, self.stretch, name)
            self.results.append((name, image))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Scores of the data set, see `~mmseg_sparsemask.saliency.scores.summarise`."""
        check_listed_once([name for name, _ in results])
        logger = MMLogger.get_current_instance()
        if self.output_dir is not None:
            logger.info(f'saliency maps are saved to {self.output_dir}')
        if self.format_only:
            return {}
        return summarise([image for _, image in results])
