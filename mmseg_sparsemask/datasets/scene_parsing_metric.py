"""The score of the ADE20K scene parsing benchmark."""

from __future__ import annotations

from typing import Any

from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS


@METRICS.register_module()
class SceneParsingMetric(IoUMetric):
    """`IoUMetric`, and the benchmark's score: the mean of pixel accuracy and mIoU.

    The log has pixel accuracy as ``aAcc``, ``mIoU`` and ``score``, all in percent (Zhou et al.,
    "Scene parsing through ADE20K dataset", CVPR 2017, Section 5.1). Takes the arguments of
    `IoUMetric`.
    """

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Metrics of `IoUMetric` and ``score``; nothing when only writing predictions."""
        metrics = super().compute_metrics(results)
        if 'mIoU' in metrics:
            metrics['score'] = (float(metrics['aAcc']) + float(metrics['mIoU'])) / 2
        return metrics
