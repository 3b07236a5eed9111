"""Scatter plots of the score against what a method costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

from matplotlib.figure import Figure

from mmseg_sparsemask.compare.rows import Row, metric_of
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


def styles(methods: Sequence[str]) -> list[tuple[str, str]]:
    """Colour and marker of each method, from its name, so that they are the same in every plot.

    Where two names of one plot meet in the same style, the later one takes the next that is free.
    """
    all_styles = [(f'C{colour}', marker) for marker in MARKERS for colour in range(10)]
    taken: dict[str, int] = {}
    for method in methods:
        place = crc32(method.encode()) % len(all_styles)
        while place in taken.values() and method not in taken and len(taken) < len(all_styles):
            place = (place + 1) % len(all_styles)
        taken.setdefault(method, place)
    return [all_styles[taken[method]] for method in methods]


def draw_comparison(rows: Sequence[Row], panels: Sequence[Panel] = PANELS) -> Figure:
    """Plot the score against what a method costs; a bar shows the spread of several runs.

    A panel shows the rows for which both values are known, and says so when there are none. A
    method has the same colour and marker in all of them, and in other plots.

    Args:
        rows: The methods.
        panels: What is on the x axes.
    """
    figure = new_figure(max(8.0, 4.0 * len(panels)), 4.2)
    drawn: dict[str, Any] = {}
    looks = styles([row.method for row in rows])
    metric = metric_of(rows)
    for place, (label, value) in enumerate(panels, 1):
        axes = figure.add_subplot(1, len(panels), place)
        axes.set_xlabel(label)
        axes.set_ylabel('mIoU (%)' if metric == 'mIoU' else metric)
        axes.grid(alpha=0.3)
        known = False
        for row, (colour, marker) in zip(rows, looks):
            x, y = value(row), row.score
            if x is None or y is None:
                continue
            known = True
            drawn[row.method] = axes.errorbar(
                [x],
                [y],
                yerr=[row.spread or 0.0],
                fmt=marker,
                color=colour,
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
