"""Scatter plots of the score against what a method costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.figure import Figure

from mmseg_sparsemask.compare.table import Row
from mmseg_sparsemask.utils.figures import new_figure

#: Title of a panel, and the value on its x axis.
Panel = tuple[str, Callable[[Row], float | None]]

#: What a table shows by default.
PANELS: tuple[Panel, ...] = (
    ('parameters (M)', lambda row: None if row.parameters is None else row.parameters / 1e6),
    (
        'multiply-adds (G)',
        lambda row: None if row.multiply_adds is None else row.multiply_adds / 1e9,
    ),
    ('images a second', lambda row: row.fps),
)


MARKERS = 'osD^vP*X'


def draw_comparison(rows: Sequence[Row], panels: Sequence[Panel] = PANELS) -> Figure:
    """Plot mIoU against what a method costs; a bar shows the spread of several runs.

    A panel shows the rows for which both values are known, and says so when there are none. A
    method has the same colour and marker in all of them.

    Args:
        rows: The methods.
        panels: What is on the x axes.
    """
    figure = new_figure(max(8.0, 4.0 * len(panels)), 4.2)
    drawn: dict[str, Any] = {}
    for place, (label, value) in enumerate(panels, 1):
        axes = figure.add_subplot(1, len(panels), place)
        axes.set_xlabel(label)
        axes.set_ylabel('mIoU (%)')
        axes.grid(alpha=0.3)
        known = False
        for number, row in enumerate(rows):
            x, y = value(row), row.score
            if x is None or y is None:
                continue
            known = True
            drawn[row.method] = axes.errorbar(
                [x],
                [y],
                yerr=[row.spread or 0.0],
                fmt=MARKERS[number % len(MARKERS)],
                color=f'C{number % 10}',
                markersize=6,
                capsize=3,
            )
        if not known:
            axes.text(0.5, 0.5, 'no results', transform=axes.transAxes, ha='center', color='0.4')
        axes.margins(x=0.15, y=0.15)
    if drawn:
        figure.legend(
            list(drawn.values()), list(drawn), loc='outside lower center', ncols=5, fontsize=8
        )
    return figure
