"""How every figure of the package is made and written."""

from __future__ import annotations

import io
import os
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.spines import Spine
from matplotlib.text import Text
from numpy.typing import NDArray

from mmseg_sparsemask.utils.files import write_atomically


def new_figure(width: float, height: float) -> Figure:
    """A figure outside pyplot's global state, in inches."""
    figure = Figure(figsize=(width, height), layout='constrained')
    FigureCanvasAgg(figure)
    return figure


def fitted(text: str, inches: float, points: float) -> str:
    """Text in lines of a width in inches, in a font of a size in points; no word is too long."""
    return textwrap.fill(text, max(1, int(inches * 72 / (_EM * points))))


#: Width of a letter in a wide font, as a part of the font's size.
_EM = 0.69

#: Colour of black text and lines: as far from white as from the ground of a dark page.
INK = '#777777'

#: Colours are dark up to this, of 0 (black) to 1.
DARK = 0.35


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure in the format of the path's suffix; whole or not at all.

    An SVG has no ground, ink that is legible on light and dark pages, and a title.

    Raises:
        ValueError: No format has this suffix, or the file cannot be written.
    """
    suffix = Path(path).suffix.lstrip('.').lower()
    if suffix not in figure.canvas.get_supported_filetypes():
        raise ValueError(
            f'{path}: expected a name that ends in .svg, .png or .pdf, got the suffix {suffix!r}'
        )
    legends = [text for legend in figure.findobj(Legend) for text in legend.get_texts()]
    for text in [*legends, *(axes.title for axes in figure.axes)]:
        # Names may have dollar signs, which are no formula.
        text.set_parse_math(False)
    buffer = io.BytesIO()
    # Without a fixed salt and date every run would give other bytes for the same picture; text
    # that stays text can be searched and copied.
    with matplotlib.rc_context({'svg.hashsalt': 'sparsemask', 'svg.fonttype': 'none'}):
        known: dict[str, dict[str, Any]] = {
            'svg': {'Date': None, 'Title': _title(figure) or Path(path).stem},
            'pdf': {'CreationDate': None},
        }
        metadata = known.get(suffix, {})
        svg = suffix == 'svg'
        with _legible(figure) if svg else nullcontext():
            figure.savefig(buffer, format=suffix, metadata=metadata, dpi=150, transparent=svg)
    write_atomically(path, buffer.getvalue())


def _title(figure: Figure) -> str:
    titles = [figure.get_suptitle(), *(axes.get_title() for axes in figure.axes)]
    return ', '.join(filter(None, titles))


@contextmanager
def _legible(figure: Figure) -> Iterator[None]:
    """Context in which what is black or nearly so has the colour `INK`, and legends no ground."""
    undo: list[Callable[[], object]] = []

    def change(what: Any, name: str, colour: str) -> None:
        before = getattr(what, f'get_{name}')()
        undo.append(lambda: getattr(what, f'set_{name}')(before))
        getattr(what, f'set_{name}')(colour)

    for artist in figure.findobj(lambda a: isinstance(a, (Text, Line2D, Spine))):
        name = 'edgecolor' if isinstance(artist, Spine) else 'color'
        if max(to_rgb(getattr(artist, f'get_{name}')())) < DARK:
            change(artist, name, INK)
            if isinstance(artist, Line2D):
                change(artist, 'markeredgecolor', INK)
    for legend in figure.findobj(Legend):
        change(legend.get_frame(), 'facecolor', 'none')
    try:
        yield
    finally:
        for restore in reversed(undo):
            restore()


def figure_to_array(figure: Figure) -> NDArray[np.uint8]:
    """RGB image (H, W, 3) of a figure."""
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    image: NDArray[np.uint8] = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    return image
