"""Scatter plots of the score against what a method costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matplotlib.figure import Figure

from mmseg_sparsemask.compare.table import Row
from mmseg_sparsemask.connectivity.draw import new_figure

#: Title of each panel and the value on its x axis.
PANELS: tuple[tuple[str, Callable[[Row], float | None]], ...] = (
    ('parameters (M)', lambda row: None if row.parameters is None else row.parameters / 1e6),
    (
        'multiply-adds (G)',
        lambda row: None if row.multiply_adds is None else row.multiply_adds / 1e9,
    ),
    ('images a second', lambda row: row.fps),
)


def draw_comparison(rows: Sequence[Row]) -> Figure:
    """Plot mIoU against parameters, multiply-adds and FPS; a bar shows the spread of several runs.

    A panel shows the rows for which both values are known, and says so when there are none.
    """
    figure = new_figure(4.0 * len(PANELS), 3.8)
    for place, (label, value) in enumerate(PANELS, 1):
        axes = figure.add_subplot(1, len(PANELS), place)
        axes.set_xlabel(label)
        axes.set_ylabel('mIoU (%)')
        axes.grid(alpha=0.3)
        known = [
            (x, y, row)
            for row in rows
            if (x := value(row)) is not None and (y := row.score) is not None
        ]
        for x, y, row in known:
            axes.errorbar([x], [y], yerr=[row.spread or 0.0], fmt='o', markersize=5, capsize=2)
            axes.annotate(row.method, (x, y), xytext=(4, 4), textcoords='offset points', fontsize=7)
        if not known:
            axes.text(0.5, 0.5, 'no results', transform=axes.transAxes, ha='center', color='0.4')
        axes.margins(x=0.25, y=0.15)
    return figure
