"""Pictures of a cell."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from mmseg_sparsemask.dpc.cell import CONV1X1, FEATURE, POOL, SEP3X3, Cell, Operation
from mmseg_sparsemask.utils.figures import new_figure

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
    children: dict[int, list[int]] = {FEATURE: []}
    for index, branch in enumerate(cell.branches):
        children[index] = []
        children[branch.input].append(index)

    # A cell is a tree: ends side by side, everything else in the middle above what reads it.
    place: dict[int, tuple[float, float]] = {}
    ends = 0

    def settle(node: int, level: int) -> None:
        nonlocal ends
        for child in children[node]:
            settle(child, level + 1)
        if children[node]:
            x = sum(place[child][0] for child in children[node]) / len(children[node])
        else:
            x = 1.5 * ends
            ends += 1
        place[node] = (x, -float(level))

    settle(FEATURE, 0)
    bottom = min(y for _, y in place.values()) - 1
    right = 1.5 * (ends - 1)
    figure = new_figure(2.1 * max(ends, 2) + 0.5, 1.05 * (1 - bottom))
    axes = figure.add_subplot()
    axes.set_axis_off()
    end = (right / 2, bottom)

    def line(
        start: tuple[float, float],
        stop: tuple[float, float],
        colour: str = '#333333',
        bend: float = 0,
    ) -> None:
        axes.annotate(
            '',
            xy=(stop[0], stop[1] + 0.24),
            xytext=(start[0], start[1] - 0.24),
            arrowprops={
                'arrowstyle': '-|>',
                'color': colour,
                'shrinkA': 0,
                'shrinkB': 0,
                'connectionstyle': f'arc3,rad={bend}',
            },
        )

    def box(at: tuple[float, float], text: str, colour: str) -> None:
        axes.text(
            *at,
            text,
            ha='center',
            va='center',
            fontsize=9,
            zorder=3,
            bbox={'boxstyle': 'round', 'facecolor': colour, 'edgecolor': '#555555'},
        )

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
    axes.add_patch(
        FancyBboxPatch(
            (-0.6, end[1] - 0.24),
            right + 1.3,
            0.44,
            boxstyle='round,pad=0.03',
            facecolor='#dddddd',
            edgecolor='#555555',
        )
    )
    axes.text(*end, 'concatenation of all branches', ha='center', va='center', fontsize=9)
    axes.set_xlim(-0.9, right + 1.0)
    axes.set_ylim(bottom - 0.5, 0.5)
    if title:
        axes.set_title(title, fontsize=10)
    return figure
