"""Named cells, and reading a cell from whatever a config may hold."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmseg_sparsemask.dpc.cell import CONV1X1, FEATURE, POOL, SEP3X3, Branch, Cell, Operation


def _sep(source: int, height: int, width: int) -> Branch:
    return Branch(source, Operation(SEP3X3, (height, width)))


def dpc_cityscapes() -> Cell:
    """The best cell of the paper (Fig. 5), found on Cityscapes with MobileNet-V2."""
    return Cell(
        (_sep(FEATURE, 1, 6), _sep(0, 18, 15), _sep(1, 6, 3), _sep(0, 1, 1), _sep(0, 6, 21)),
        {'source': 'arXiv:1809.04184, best cell'},
    )


def aspp() -> Cell:
    """Atrous spatial pyramid pooling (arXiv:1706.05587) in this space, with its image pooling."""
    return Cell(
        (
            Branch(FEATURE, Operation(CONV1X1)),
            _sep(FEATURE, 6, 6),
            _sep(FEATURE, 12, 12),
            _sep(FEATURE, 18, 18),
            Branch(FEATURE, Operation(POOL, (1, 1))),
        ),
        {'source': 'ASPP, rates 6, 12, 18, image pooling'},
    )


def aspp_no_pooling() -> Cell:
    """ASPP without the image pooling, as the paper counts its cost."""
    return Cell(aspp().branches[:4], {'source': 'ASPP, rates 6, 12, 18'})


PRESETS: dict[str, Callable[[], Cell]] = {
    'dpc_cityscapes': dpc_cityscapes,
    'aspp': aspp,
    'aspp_no_pooling': aspp_no_pooling,
}


def resolve_cell(source: Any) -> Cell:
    """A cell from a config value.

    Args:
        source: A `Cell`, a preset's name, a path to a JSON file, the versioned dict, or the
            published list.

    Raises:
        ValueError: Nothing of the kind.
    """
    if isinstance(source, Cell):
        return source
    if isinstance(source, str | os.PathLike):
        name = os.fspath(source)
        if name in PRESETS:
            return PRESETS[name]()
        if name.endswith('.json') or Path(name).exists():
            return Cell.load(name)
        raise ValueError(
            f'unknown cell {name!r}; presets are {", ".join(PRESETS)}, a file must end in .json'
        )
    if isinstance(source, Mapping):
        return Cell.from_dict(source)
    if isinstance(source, Sequence):
        return Cell.from_published(source)
    raise ValueError(
        f'a cell is a preset name, a path, a dict or the published list, got {source!r}'
    )
