"""How every figure of the package is made and written."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mmseg_sparsemask.utils.files import write_atomically


def new_figure(width: float, height: float) -> Figure:
    """A figure outside pyplot's global state, in inches."""
    figure = Figure(figsize=(width, height), layout='constrained')
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure in the format of the path's suffix; whole or not at all.

    Raises:
        ValueError: No format has this suffix, or the file cannot be written.
    """
    suffix = Path(path).suffix.lstrip('.').lower()
    if suffix not in figure.canvas.get_supported_filetypes():
        raise ValueError(
            f'{path}: expected a name that ends in .svg, .png or .pdf, got the suffix {suffix!r}'
        )
    buffer = io.BytesIO()
    # Without a fixed salt and date every run would give other bytes for the same picture; text
    # that stays text can be searched and copied.
    with matplotlib.rc_context({'svg.hashsalt': 'sparsemask', 'svg.fonttype': 'none'}):
        metadata: dict[str, Any] = {
            'svg': {'Date': None},
            'pdf': {'CreationDate': None},
        }.get(suffix, {})
        figure.savefig(buffer, format=suffix, metadata=metadata, dpi=150)
    write_atomically(path, buffer.getvalue())


def figure_to_array(figure: Figure) -> NDArray[np.uint8]:
    """RGB image (H, W, 3) of a figure."""
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    image: NDArray[np.uint8] = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    return image
