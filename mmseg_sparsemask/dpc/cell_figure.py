"""Pictures of a cell."""

from __future__ import annotations

import itertools

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from mmseg_sparsemask.dpc.cell import CONV1X1, FEATURE, POOL, SEP3X3, Cell, Operation
from mmseg_sparsemask.utils.figures import fitted, new_figure

Point = tuple[float, float]
_COLOURS = {CONV1X1: '#f2d18b', SEP3X3: '#a8c8e8', POOL: '#b5dcb0'}


def _label(op: Operation) -> str:
    height, width = op.size
    if op.kind == CONV1X1:
        return '1x1 conv'
    if op.kind == SEP3X3:
        return f'3x3 separable\nrate {height}x{width}'
    return f'pooling\ngrid {height}x{width}'


def draw_cell(cell: Cell, title: str = '') -> Figure:
    """The graph of a cell: the feature at the top, the concatenation at the bottom.

    Args:
        cell: Drawn as it is; pass ``cell.canonical()`` so that equal cells look equal.
        title: A line above.

    Returns:
        A figure to give to `save_figure`.
    """
    children: dict[int, list[int]] = {node: [] for node in range(FEATURE, len(cell))}
    for index, branch in enumerate(cell.branches):
        children[branch.input].append(index)

    # A cell is a tree: ends side by side, everything else in the middle above what reads it.
    place: dict[int, Point] = {}
    ends = itertools.count()

    def settle(node: int, level: int) -> float:
        below = [settle(child, level + 1) for child in children[node]]
        x = sum(below) / len(below) if below else 1.5 * next(ends)
        place[node] = (x, -float(level))
        return x

    settle(FEATURE, 0)
    count = next(ends)
    bottom = min(y for _, y in place.values()) - 1
    right = 1.5 * (count - 1)
    figure = new_figure(2.1 * max(count, 2) + 0.5, 1.05 * (1 - bottom))
    axes = figure.add_subplot()
    axes.set_axis_off()
    end = (right / 2, bottom)

    def line(start: Point, stop: Point, colour: str = '#333333', bend: float = 0) -> None:
        shape = {'arrowstyle': '-|>', 'connectionstyle': f'arc3,rad={bend}'}
        below, above = (start[0], start[1] - 0.24), (stop[0], stop[1] + 0.24)
        arrow = {**shape, 'color': colour, 'shrinkA': 0, 'shrinkB': 0}
        axes.annotate('', xy=above, xytext=below, arrowprops=arrow)

    def box(at: Point, text: str, colour: str) -> None:
        frame = {'boxstyle': 'round', 'facecolor': colour, 'edgecolor': '#555555'}
        axes.text(*at, text, ha='center', va='center', fontsize=9, zorder=3, bbox=frame)

    for index, branch in enumerate(cell.branches):
        line(place[branch.input], place[index])
        x, y = place[index]
        if children[index]:
            # Past the branches below it.
            line((x + 0.35, y), (x + 0.6, end[1]), colour='#8a8a8a', bend=-0.15)
        else:
            line((x, y), (x, end[1]), colour='#8a8a8a')
        box(place[index], f'{index}: {_label(branch.op)}', _COLOURS[branch.op.kind])
    box(place[FEATURE], 'feature', '#dddddd')
    corner, style = (-0.6, end[1] - 0.24), 'round,pad=0.03'
    axes.add_patch(
        FancyBboxPatch(corner, right + 1.3, 0.44, style, facecolor='#dddddd', edgecolor='#555555')
    )
    axes.text(*end, 'concatenation of all branches', ha='center', va='center', fontsize=9)
    axes.set_xlim(-0.9, right + 1.0)
    axes.set_ylim(bottom - 0.5, 0.5)
    if title:
        axes.set_title(fitted(title, figure.get_figwidth(), 10), fontsize=10)
    return figure
