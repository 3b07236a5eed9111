"""Dense prediction cells: the cell as data, the decode head and neck, the search.

``cell``, ``presets``, ``space``, ``cost`` and ``draw`` are pure Python (and matplotlib): they
import no deep learning framework. The search (``search``, ``rerank``) needs Optuna and is imported
by name.
"""

from .cached import CachedFeatureBackbone, CachedFeatureDataset, CachedFeaturePreprocessor
from .cell import Branch, Cell, Operation
from .cost import CellCost, cell_cost
from .head import DPCHead, DPCNeck
from .modules import DensePredictionCell
from .presets import PRESETS, resolve_cell
from .space import SearchSpace

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
