"""Dense prediction cells: the cell as data, the decode head and neck, the search.

``cell``, ``cell_figure``, ``cost``, ``presets`` and ``space`` are pure Python and matplotlib: they
import no deep learning framework. The search (``search``, ``rerank``) needs Optuna and is imported
by name.
"""

from mmseg_sparsemask.dpc.cached import (
    CachedFeatureBackbone,
    CachedFeatureDataset,
    CachedFeaturePreprocessor,
)
from mmseg_sparsemask.dpc.cell import Branch, Cell, Operation
from mmseg_sparsemask.dpc.cost import CellCost, cell_cost
from mmseg_sparsemask.dpc.head import DPCHead, DPCNeck
from mmseg_sparsemask.dpc.modules import DensePredictionCell
from mmseg_sparsemask.dpc.presets import PRESETS, resolve_cell
from mmseg_sparsemask.dpc.space import SearchSpace

__all__ = [
    'PRESETS',
    'Branch',
    'CachedFeatureBackbone',
    'CachedFeatureDataset',
    'CachedFeaturePreprocessor',
    'Cell',
    'CellCost',
    'DPCHead',
    'DPCNeck',
    'DensePredictionCell',
    'Operation',
    'SearchSpace',
    'cell_cost',
    'resolve_cell',
]
