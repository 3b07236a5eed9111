"""Scatter plots of the score against what a method costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matplotlib.figure import Figure

from mmseg_sparsemask.compare.rows import Row, metric_of
from mmseg_sparsemask.utils.figures import fitted, new_figure

#: Title of a panel, the value on its x axis, and whether less of it is better.
Panel = tuple[str, Callable[[Row], float | None], bool]

#: What a table shows by default.
PANELS: tuple[Panel, ...] = (
    ('parameters (M)', lambda row: row.parameters and row.parameters / 1e6, True),
    ('multiply-adds (G)', lambda row: row.multiply_adds and row.multiply_adds / 1e9, True),
    ('images a second', lambda row: row.fps, False),
)

#: Points of the front, and the others.
FRONT_COLOUR, OTHER_COLOUR = '#c8553d', '#3b6ea5'


def front(points: Sequence[tuple[float, float]]) -> set[int]:
    """Which of some (cost, score) are the front: none is as good and cheaper, or better for it."""
    return {
        place
        for place, (cost, score) in enumerate(points)
        if not any(
            (other <= cost and best >= score) and (other, best) != (cost, score)
            for other, best in points
        )
    }


def draw_comparison(rows: Sequence[Row], panels: Sequence[Panel] = PANELS) -> Figure:
    """Plot the score against what a method costs; a bar shows the spread of several runs.

    Points have the numbers of their rows, counted from 1. The front of each panel is joined by a
    line, and its methods are named below. A panel has the rows for which both values are known; one
    without any is left out.

    Args:
        rows: The methods.
        panels: What is on the x axes.
    """
    shown = [
        (label, points, less) for label, value, less in panels if (points := _points(rows, value))
    ]
    figure = new_figure(max(5.0, 4.0 * len(shown)), 4.2)
    metric = metric_of(rows)
    named: set[int] = set()
    for place, (label, points, less) in enumerate(shown, 1):
        axes = figure.add_subplot(1, len(shown), place)
        axes.set_xlabel(label)
        axes.set_ylabel('mIoU (%)' if metric == 'mIoU' else metric)
        axes.grid(alpha=0.3)
        best = {
            list(points)[index]
            for index in front([(x if less else -x, y) for x, y in points.values()])
        }
        named |= best
        axes.plot(*zip(*sorted(points[number] for number in best)), color=FRONT_COLOUR, alpha=0.5)
        for number, (x, y) in points.items():
            colour = FRONT_COLOUR if number in best else OTHER_COLOUR
            spread = rows[number - 1].spread or 0.0
            axes.errorbar([x], [y], yerr=[spread], fmt='o', color=colour, markersize=5, capsize=3)
            axes.annotate(str(number), (x, y), (4, 4), textcoords='offset points', fontsize=8)
        costs = [x for x, _ in points.values()]
        if min(costs) > 0 and max(costs) > 10 * min(costs):
            axes.set_xscale('log')
        axes.margins(x=0.15, y=0.15)
    if not shown:
        axes = figure.add_subplot()
        axes.set_axis_off()
        axes.text(0.5, 0.5, 'no results', transform=axes.transAxes, ha='center', color='0.4')
        return figure
    names = '; '.join(f'{number} {rows[number - 1].method}' for number in sorted(named))
    text = f'Numbers: rows of the table. On a front: {names}'
    caption = fitted(text, figure.get_figwidth(), 8)
    figure.supxlabel(caption, fontsize=8, parse_math=False)
    return figure


def _points(
    rows: Sequence[Row], value: Callable[[Row], float | None]
) -> dict[int, tuple[float, float]]:
    """Cost and score by number of the row, where both are known."""
    return {
        number: (x, row.score)
        for number, row in enumerate(rows, 1)
        if (x := value(row)) is not None and row.score is not None
    }
