"""Pictures: the graph of a Connectivity, and the heat maps of connection weights."""

from __future__ import annotations

import itertools
from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from mmseg_sparsemask.connectivity.graph import (
    GLOBAL,
    Connection,
    Connectivity,
    encoder_name,
    level_of,
    stage_name,
)
from mmseg_sparsemask.utils.figures import fitted, new_figure
from mmseg_sparsemask.utils.words import counted

ENCODER_COLOUR = '#3b6ea5'
DECODER_COLOUR = '#c8553d'
GLOBAL_COLOUR = '#6a994e'
UNUSED_COLOUR = '#e4e4e4'

#: How weights of 0 to 1 are coloured.
WEIGHTS: dict[str, Any] = {'vmin': 0, 'vmax': 1, 'cmap': 'viridis'}

NODE_WIDTH = 0.34
NODE_HEIGHT = 0.4


def draw_graph(connectivity: Connectivity, title: str = '') -> Figure:
    """Draw a Connectivity: encoder on the left, decoder on the right, fine at the top.

    Beside each encoder feature stands its stride. A feature that nobody uses and a stage that is
    not there are grey. A stage's output leaves at its upper right, its decoder inputs arrive at
    its lower right.
    """
    figure = new_figure(7.0, 0.62 * (connectivity.num_levels + 1) + 1.0)
    draw_graph_on(figure.add_subplot(), connectivity, title)
    return figure


def draw_graph_on(axes: Axes, connectivity: Connectivity, title: str = '') -> None:
    """Draw what `draw_graph` draws as a part of a larger figure."""
    num_levels = connectivity.num_levels
    used = {*connectivity.sources(), *connectivity.stages}
    place: dict[str, tuple[float, float]] = {GLOBAL: (0.0, -num_levels - 1.0)}
    for level in range(1, num_levels + 1):
        place[encoder_name(level)] = (0.0, -float(level))
        place[stage_name(level)] = (3.0, -float(level))
    half, quarter = NODE_WIDTH / 2, NODE_HEIGHT / 4
    for source, stage in connectivity:
        (start_x, start_y), (end_x, end_y) = place[source], place[stage]
        start, end, bend = (start_x + half, start_y), (end_x - half, end_y), 0.0
        if source.startswith('D'):
            start, end = (start_x + half, start_y + quarter), (end_x + half, end_y - quarter)
            # So far to the right that near and far sources are told apart, and stay in the picture.
            height = abs(start_y - end_y)
            bend = min(0.12 + 0.05 * height, 5.5 / height)
        _draw_arrow(axes, start, end, _colour(source), bend)
    end_x, end_y = place[connectivity.end]
    right, top = end_x + half, end_y + quarter
    _draw_arrow(axes, (right, top), (right + 0.7, top), DECODER_COLOUR)
    axes.text(right + 0.75, top, 'classifier', va='center', fontsize=9)
    for name, (x, y) in place.items():
        _draw_node(axes, name, x, y, alive=name in used)
        if name.startswith('E'):
            stride = f'1/{connectivity.stride_of(name)}'
            axes.text(x - 0.3, y, stride, ha='right', va='center', fontsize=8, color='0.3')
    axes.set_xlim(-0.8, 4.7)
    axes.set_ylim(-num_levels - 1.5, -0.5)
    axes.set_axis_off()
    width = axes.figure.bbox.width / axes.figure.dpi
    axes.set_title(
        fitted(title or counted(len(connectivity), 'connection'), width, 11), fontsize=11
    )


def _colour(name: str) -> str:
    return {'E': ENCODER_COLOUR, 'D': DECODER_COLOUR}.get(name[0], GLOBAL_COLOUR)


def _draw_arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str, bend: float = 0.0
) -> None:
    shape: dict[str, Any] = {'connectionstyle': f'arc3,rad={bend}', 'shrinkA': 0, 'shrinkB': 0}
    look: dict[str, Any] = {'mutation_scale': 10, 'linewidth': 1.2, 'color': colour, 'alpha': 0.8}
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle='-|>', **shape, **look))


def _draw_node(axes: Axes, name: str, x: float, y: float, alive: bool) -> None:
    corner, style = (x - NODE_WIDTH / 2, y - NODE_HEIGHT / 2), 'round,pad=0,rounding_size=0.05'
    box = FancyBboxPatch(corner, NODE_WIDTH, NODE_HEIGHT, style, edgecolor='none')
    box.set_facecolor(_colour(name) if alive else UNUSED_COLOUR)
    axes.add_patch(box)
    axes.text(x, y, name, ha='center', va='center', fontsize=10, color='white' if alive else '0.45')


def draw_weights(
    weights: Mapping[Connection, float], title: str = '', kept: Container[Connection] = ()
) -> Figure:
    """Heat map of the connection weights at one moment: stages against sources.

    Args:
        weights: Weight in [0, 1] of every connection. Places without a connection stay white.
        title: Title of the figure.
        kept: Connections that pruning keeps; each has a dot.

    Raises:
        ValueError: No weights.
    """
    if not weights:
        raise ValueError('weights: expected the weight of at least one connection, got none')
    stages = sorted({c.stage for c in weights}, key=level_of)
    num_levels = max(level_of(name) for c in weights for name in c if name != GLOBAL)
    levels = range(1, num_levels + 1)
    sources = [*map(encoder_name, levels), GLOBAL, *map(stage_name, range(2, num_levels + 1))]
    grid = np.full((len(stages), len(sources)), np.nan)
    for connection, weight in weights.items():
        grid[stages.index(connection.stage), sources.index(connection.source)] = weight
    dots = [(sources.index(c.source), stages.index(c.stage)) for c in weights if c in kept]
    figure = new_figure(0.36 * len(sources) + 1.8, 0.36 * len(stages) + 1.2)
    axes = figure.add_subplot()
    image = axes.imshow(grid, **WEIGHTS)
    axes.set_xticks(range(len(sources)), sources, fontsize=8)
    axes.set_yticks(range(len(stages)), stages, fontsize=8)
    axes.set_xlabel('source')
    axes.set_ylabel('stage')
    if dots:
        axes.plot(*zip(*dots), 'o', color=DECODER_COLOUR, markersize=3.5)
    axes.set_title(fitted(title or 'connection weights', figure.get_figwidth(), 10), fontsize=10)
    figure.colorbar(image, ax=axes, shrink=0.8)
    return figure


_PALE = (
    'Bold: kept. Pale: dropped although a smaller weight was kept, since its stage or its source '
    'was of no use, or for the budget.'
)


def draw_weight_history(
    steps: Sequence[int],
    history: Sequence[Sequence[float]],
    connections: Sequence[Connection],
    kept: Container[Connection] | None = None,
) -> Figure:
    """Heat map of the connection weights over time: a row for each connection.

    With `kept`, names of kept connections are bold. A connection that was dropped although others
    of smaller weight were kept is faded: it fed a stage that nobody reads, or did not fit a budget.

    Args:
        steps: Training iteration of each record, ascending.
        history: Weights in [0, 1], item i is those of `connections` at ``steps[i]``.
        connections: What the columns of `history` are.
        kept: The connections that pruning keeps, if that is known.

    Raises:
        ValueError: The three do not fit together, or there is no record.
    """
    grid = np.asarray(history, dtype=float)
    if not len(steps) or grid.shape != (len(steps), len(connections)):
        raise ValueError(
            f'history: expected a record of {len(connections)} weights for each of {len(steps)} '
            f'(at least one) steps, got an array of shape {grid.shape}'
        )
    figure = new_figure(8.0, 0.105 * len(connections) + 1.4)
    axes = figure.add_subplot()
    # Each record reaches to the middle between it and its neighbours, the last to the end.
    inner = [(before + after) / 2 for before, after in itertools.pairwise(steps)]
    first, last = (steps[0], steps[-1]) if inner else (steps[0] - 0.5, steps[0] + 0.5)
    columns, rows = np.asarray([first, *inner, last]), np.arange(len(connections) + 1)
    mesh = axes.pcolormesh(columns, rows, grid.T, **WEIGHTS, rasterized=True)
    axes.set_yticks(rows[:-1] + 0.5, [f'{c.source} → {c.stage}' for c in connections])
    axes.tick_params(axis='y', labelsize=5, length=0)
    if kept is not None:
        smallest = min((w for c, w in zip(connections, grid[-1]) if c in kept), default=np.inf)
        said = 'Bold: kept.'
        for row, (connection, label) in enumerate(zip(connections, axes.get_yticklabels())):
            alive = connection in kept
            label.set(color='black' if alive else '0.55', weight='bold' if alive else 'normal')
            if not alive and grid[-1, row] >= smallest:
                axes.axhspan(row, row + 1, color='white', alpha=0.6, linewidth=0)
                said = _PALE
        figure.supxlabel(said, fontsize=7)
    for row in range(1, len(connections)):
        if connections[row].stage != connections[row - 1].stage:
            axes.axhline(row, color='white', linewidth=0.8)
    axes.invert_yaxis()
    axes.set_xlabel('iteration')
    axes.set_title('connection weights over the search', fontsize=10)
    figure.colorbar(mesh, ax=axes, shrink=0.6)
    return figure


def draw_cost_history(
    steps: Sequence[int], costs: Sequence[float], limit: float, label: str
) -> Figure:
    """Cost of the decoder that pruning would have given, over a search, and the budget.

    Args:
        steps: Training iteration of each record, ascending.
        costs: Cost at each.
        limit: The budget, in the same unit.
        label: What is counted, for the axis.

    Raises:
        ValueError: No record, or not one cost for each step.
    """
    if not len(steps) or len(steps) != len(costs):
        raise ValueError(
            f'costs: expected one for each of {len(steps)} (at least one) steps, got {len(costs)}'
        )
    figure = new_figure(6.0, 3.2)
    axes = figure.add_subplot()
    axes.step(steps, costs, where='post', color=DECODER_COLOUR, label='if pruned then')
    axes.axhline(limit, color=ENCODER_COLOUR, linestyle='--', label='budget')
    axes.set_ylim(bottom=0)
    axes.set_xlabel('iteration')
    axes.set_ylabel(label)
    axes.legend()
    return figure
