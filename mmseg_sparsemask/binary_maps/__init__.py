"""One-channel probability maps, which boundaries and salient objects share.

A head with side outputs, losses, test-time augmentation, the base of the metrics, drawings. What
one task alone needs is in ``edges`` and ``saliency``.
"""

from mmseg_sparsemask.binary_maps.losses import BalancedBCELoss, BinaryCrossEntropyLoss
from mmseg_sparsemask.binary_maps.map_visualizer import MapVisualizer
from mmseg_sparsemask.binary_maps.metric import ProbabilityMapMetric
from mmseg_sparsemask.binary_maps.side_output_head import SideOutputHead
from mmseg_sparsemask.binary_maps.tta import BinaryTTAModel

__all__ = [
    'BalancedBCELoss',
    'BinaryCrossEntropyLoss',
    'BinaryTTAModel',
    'MapVisualizer',
    'ProbabilityMapMetric',
    'SideOutputHead',
]
