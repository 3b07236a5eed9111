"""Boundary detection in the toolbox's evaluation loop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmengine.dist import get_world_size, is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmseg.registry import METRICS

from mmseg_sparsemask.edges.report import score_dict, write_report
from mmseg_sparsemask.edges.scores import (
    EdgeCounts,
    check_inputs,
    default_thresholds,
    evaluate_image,
    summarise,
)
from mmseg_sparsemask.edges.workers import WorkerPool, default_workers, gather
from mmseg_sparsemask.evaluation.probability_maps import (
    check_listed_once,
    image_name,
    probability,
    save_map,
)
from mmseg_sparsemask.utils.extras import require_extra


def _count(
    prob: np.ndarray,
    targets: np.ndarray,
    thresholds: np.ndarray,
    max_dist: float,
    nms: bool,
    border: int,
    name: str,
) -> np.ndarray:
    counts = evaluate_image(
        prob, list(targets), thresholds, max_dist, nms, border=border, name=name
    )
    return counts.as_array()


@METRICS.register_module()
class EdgeMetric(BaseMetric):
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
        output_dir: Folder for the maps before suppression as grey PNG; ``tools/test.py --out``
            sets it.
        keep_results: Accepted because ``--out`` sets it; the maps are kept anyway.
        report_dir: Folder for tables and the precision-recall plot.
        format_only: Write the maps and score nothing.
        collect_device: See ``BaseMetric``.
        prefix: Of the names of the scores.

    Raises:
        ImportError: Without scikit-image.
        ValueError: For ``format_only`` without ``output_dir``, or settings out of range.
    """

    default_prefix = 'edge'

    def __init__(
        self,
        thresholds: int = 99,
        max_dist: float = 0.0075,
        nms: bool = True,
        border: int = 5,
        num_workers: int | None = None,
        output_dir: str | None = None,
        keep_results: bool = False,
        report_dir: str | None = None,
        format_only: bool = False,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        require_extra('skimage', 'edge')
        if format_only and output_dir is None:
            raise ValueError('format_only needs output_dir, the folder for the maps')
        if not 0 <= max_dist <= 1:
            raise ValueError(f'max_dist is a share of the diagonal in [0, 1], got {max_dist}')
        self.thresholds = default_thresholds(thresholds)
        self.max_dist = max_dist
        self.nms = nms
        self.border = border
        self.output_dir = output_dir
        self.keep_results = keep_results
        self.report_dir = report_dir
        self.format_only = format_only
        workers = default_workers(get_world_size()) if num_workers is None else num_workers
        self._pool = WorkerPool(workers, preload=[__name__])

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Start the matching of one batch.

        Raises:
            ValueError: Without annotations, or when sizes differ.
        """
        for sample in data_samples:
            name, prob = image_name(sample), probability(sample)
            if self.output_dir is not None:
                save_map(prob, self.output_dir, name)
            if self.format_only:
                self.results.append((name, None))
                continue
            if 'gt_boundaries' not in sample:
                raise ValueError(
                    f'{name}: gt_boundaries is missing; load it with LoadBSDSBoundaries and add '
                    "'gt_boundaries' to PackSegInputs.meta_keys of the test pipeline"
                )
            targets = np.asarray(sample['gt_boundaries'])
            check_inputs(prob, targets, name)
            settings = (self.thresholds, self.max_dist, self.nms, self.border)
            future = self._pool.submit(_count, prob, targets, *settings, name)
            self.results.append((name, future))

    def evaluate(self, size: int) -> dict[str, float]:
        """Wait for the matching, then collect the counts of all ranks; see ``BaseMetric``."""
        try:
            pending = [(name, future) for name, future in self.results if future is not None]
            counts = gather([future for _, future in pending], progress=is_main_process())
        finally:
            self._pool.close()
        if pending:
            self.results = [(name, c) for (name, _), c in zip(pending, counts)]
        return super().evaluate(size)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Scores of the data set, see ``mmseg_sparsemask.edges.scores.summarise``."""
        names = [name for name, _ in results]
        check_listed_once(names)
        logger = MMLogger.get_current_instance()
        if self.output_dir is not None:
            logger.info(f'boundary maps are saved to {self.output_dir}')
        if self.format_only:
            return {}
        scores = summarise([EdgeCounts.from_array(c) for _, c in results], self.thresholds)
        if self.report_dir is not None:
            write_report(scores, names, self.report_dir)
            logger.info(f'tables and the precision-recall plot are in {self.report_dir}')
        return score_dict(scores)
