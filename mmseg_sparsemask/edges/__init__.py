"""Boundary detection: data, loading, HED, suppression, matching, scores, figures."""

from mmseg_sparsemask.edges.datasets import BSDS500Dataset, ShapesEdgeDataset
from mmseg_sparsemask.edges.hed_augment import HEDAugment
from mmseg_sparsemask.edges.hed_head import HEDHead
from mmseg_sparsemask.edges.metric import EdgeMetric
from mmseg_sparsemask.edges.transforms import LoadBSDSBoundaries, LoadInstanceBoundaries

__all__ = [
    'BSDS500Dataset',
    'EdgeMetric',
    'HEDAugment',
    'HEDHead',
    'LoadBSDSBoundaries',
    'LoadInstanceBoundaries',
    'ShapesEdgeDataset',
]
