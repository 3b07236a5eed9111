"""Boundary detection in the toolbox's evaluation loop."""

from __future__ import annotations

from concurrent.futures import Future

import numpy as np
from mmengine.dist import get_world_size, is_main_process
from mmengine.logging import MMLogger
from mmseg.registry import METRICS

from mmseg_sparsemask.binary_maps.metric import ProbabilityMapMetric
from mmseg_sparsemask.edges.report import score_dict, write_scores
from mmseg_sparsemask.edges.scores import (
    EdgeCounts,
    check_inputs,
    default_thresholds,
    evaluate_image,
    summarise,
)
from mmseg_sparsemask.edges.workers import WorkerPool, gather
from mmseg_sparsemask.utils.checks import check_whole
from mmseg_sparsemask.utils.extras import require_extra


@METRICS.register_module()
class EdgeMetric(ProbabilityMapMetric):
    """ODS, OIS, AP and R50 as the Berkeley benchmark defines them.

    Needs a one-channel output (``out_channels=1``) and, among the sample's meta data,
    ``gt_boundaries``: the boundary maps of all annotators at the image's original size, (K, H, W).
    ``LoadBSDSBoundaries`` makes them; name the key in ``PackSegInputs.meta_keys``. Matching runs
    in processes beside the model's predictions.

    Args:
        thresholds: Number of cut levels inside (0, 1); the benchmark's 99 by default.
        max_dist: Tolerance as a share of the image diagonal.
        nms: Thin the soft map by non-maximum suppression first.
        border: Width in pixels of the frame that the suppression fades; the benchmark's habit is
            5, images of few pixels want 0.
        num_workers: Processes for the matching; 0 = none besides the caller, None = one per core.
        report_dir: Folder for tables and the precision-recall plot.
        **kwargs: See `ProbabilityMapMetric`; the maps are those before suppression.

    Raises:
        ImportError: Without scikit-image.
        ValueError: For settings out of range.
    """

    default_prefix = 'edge'
    map_kind = 'boundary'

    def __init__(
        self,
        thresholds: int = 99,
        max_dist: float = 0.0075,
        nms: bool = True,
        border: int = 5,
        num_workers: int | None = None,
        report_dir: str | None = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        require_extra('skimage', 'edge')
        check_whole(0, border=border)
        if not 0 <= max_dist <= 1:
            raise ValueError(f'max_dist is a share of the diagonal in [0, 1], got {max_dist}')
        self.thresholds = default_thresholds(thresholds)
        self.max_dist = max_dist
        self.nms = nms
        self.border = border
        self.report_dir = report_dir
        self._pool = WorkerPool(num_workers, [__name__], get_world_size())

    def score(self, sample: dict, prob: np.ndarray, name: str) -> Future[EdgeCounts]:
        """Start the matching of one image.

        Raises:
            ValueError: Without annotations, or when sizes differ.
        """
        if 'gt_boundaries' not in sample:
            raise ValueError(
                f'{name}: gt_boundaries is missing; load it with LoadBSDSBoundaries and add '
                "'gt_boundaries' to PackSegInputs.meta_keys of the test pipeline"
            )
        targets = list(np.asarray(sample['gt_boundaries']))
        check_inputs(prob, targets, name)
        settings = (self.thresholds, self.max_dist, self.nms)
        return self._pool.submit(
            evaluate_image, prob, targets, *settings, border=self.border, name=name
        )

    def evaluate(self, size: int) -> dict[str, float]:
        """Wait for the matching, then collect the counts of all ranks; see ``BaseMetric``."""
        try:
            if not self.format_only:
                futures = [future for _, future in self.results]
                counts = gather(futures, progress=is_main_process())
                self.results = [(name, c) for (name, _), c in zip(self.results, counts)]
        finally:
            self._pool.close()
        return super().evaluate(size)

    def summarise(self, contributions: list, names: list[str]) -> dict[str, float]:
        """See ``mmseg_sparsemask.edges.scores.summarise``."""
        scores = summarise(contributions, self.thresholds)
        if self.report_dir is not None:
            write_scores(scores, names, self.report_dir)
            logger = MMLogger.get_current_instance()
            logger.info(f'tables and the precision-recall plot are in {self.report_dir}')
        return score_dict(scores)
