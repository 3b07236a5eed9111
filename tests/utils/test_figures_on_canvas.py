"""Nothing that the package draws leaves its canvas, whatever is drawn."""

from types import SimpleNamespace

import numpy as np
import pytest
from reference.figures import outside

from mmseg_sparsemask.binary_maps.map_visualizer import draw_panels
from mmseg_sparsemask.compare.rows import Row
from mmseg_sparsemask.compare.scatter import draw_comparison
from mmseg_sparsemask.connectivity import all_connections, preset
from mmseg_sparsemask.connectivity.draw import (
    draw_cost_history,
    draw_graph,
    draw_weight_history,
    draw_weights,
)
from mmseg_sparsemask.dpc.cell import Cell
from mmseg_sparsemask.dpc.cell_figure import draw_cell
from mmseg_sparsemask.dpc.presets import PRESETS
from mmseg_sparsemask.edges.report import draw_curves
from mmseg_sparsemask.front.points import draw_front

LONG = 'a method with a name that is longer than a picture of it is wide, ' * 2
#: Branch after branch, each of the one before.
CHAIN = Cell.from_string(' '.join(f'{n}:sep3x3_21x21' for n in range(-1, 4)))
FLAT = Cell.from_string(' '.join(['-1:sep3x3_21x21'] * 5))


def graph(levels):
    return draw_graph(preset('fdn', [2**level for level in range(1, levels + 1)]), LONG)


def history(levels, steps):
    connections = list(all_connections(levels))
    weights = np.random.default_rng(0).random((len(steps), len(connections)))
    return draw_weight_history(steps, weights, connections, connections[:3])


def curves():
    f = np.linspace(0.01, 0.99, 20)
    scores = SimpleNamespace(
        ods=0.5, ois=0.5, ap=0.5, ods_recall=0.5, ods_precision=0.5, recall=f, precision=f[::-1]
    )
    return draw_curves({LONG: scores, 'hed': scores})


def front():
    points = [SimpleNamespace(cost=10.0**n, rank_loss=1 / (n + 1)) for n in range(3, 10)]
    return draw_front([(p.cost, p.rank_loss) for p in points], points, 'multiply-adds')


FIGURES = {
    **{f'graph of {n} levels': (graph, n) for n in (1, 2, 4, 9, 12)},
    **{f'history of {n} levels': (history, n, range(0, 10**6, 10**5)) for n in (1, 4, 9)},
    'one record': (history, 2, [5]),
    'weights': (draw_weights, {c: 0.5 for c in all_connections(9)}, LONG),
    'weights of one level': (draw_weights, {c: 0.5 for c in all_connections(1)}, 'iteration 100'),
    'budget': (draw_cost_history, [0, 10**7], [10**9, 1], 5e8, 'multiply-adds'),
    **{name: (lambda make: draw_cell(make(), LONG), make) for name, make in PRESETS.items()},
    'a chain': (draw_cell, CHAIN, LONG),
    'five branches side by side': (draw_cell, FLAT, LONG),
    'curves': (curves,),
    'front': (front,),
    'panels': (draw_panels, [{LONG: np.zeros((9, 9)), 'truth': np.zeros((9, 9))}] * 2),
    'comparison': (
        draw_comparison,
        [
            Row(LONG.replace(' ', '_'), 1, [y], 'test', 0, 10**6 * y, 0, 10**9 * y)
            for y in range(10, 22)
        ],
    ),
}


@pytest.mark.parametrize('name', FIGURES)
def test_nothing_leaves_the_canvas(name):
    draw, *arguments = FIGURES[name]
    assert outside(draw(*arguments)) == []


def test_what_leaves_it_is_found():
    figure = draw_graph(preset('fdn', [2, 4, 8]))
    figure.axes[0].set_xlim(0, 2)
    assert len(outside(figure)) > 3
    figure = draw_graph(preset('fdn', [2, 4, 8]))
    figure.axes[0].set_title('x' * 200)
    assert outside(figure) == ['x' * 200]
