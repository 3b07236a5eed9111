from mmseg_sparsemask.datasets.transforms.boundaries import (
    LoadBSDSBoundaries,
    LoadInstanceBoundaries,
    LoadSaliencyMask,
)
from mmseg_sparsemask.datasets.transforms.hed_augment import HEDAugment

__all__ = ['HEDAugment', 'LoadBSDSBoundaries', 'LoadInstanceBoundaries', 'LoadSaliencyMask']
