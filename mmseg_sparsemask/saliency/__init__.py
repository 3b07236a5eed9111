"""Salient object detection: data, loading, DSS, scores."""

from mmseg_sparsemask.saliency.datasets import SaliencyDataset, ShapesSaliencyDataset
from mmseg_sparsemask.saliency.dss_head import DSSHead
from mmseg_sparsemask.saliency.metric import SaliencyMetric
from mmseg_sparsemask.saliency.transforms import LoadSaliencyMask

__all__ = [
    'DSSHead',
    'LoadSaliencyMask',
    'SaliencyDataset',
    'SaliencyMetric',
    'ShapesSaliencyDataset',
]
