"""Dense prediction cells: the cell as data (no torch), the decode head and neck, the search.

``cell``, ``presets``, ``space``, ``cost`` and ``draw`` need no deep learning framework; import the
other modules by name.
"""

from mmseg_sparsemask.dpc.cell import Branch, Cell, Operation
from mmseg_sparsemask.dpc.cost import CellCost, cell_cost
from mmseg_sparsemask.dpc.presets import PRESETS, resolve_cell
from mmseg_sparsemask.dpc.space import SearchSpace

__all__ = [
    'PRESETS',
    'Branch',
    'Cell',
    'CellCost',
    'Operation',
    'SearchSpace',
    'cell_cost',
    'resolve_cell',
]
