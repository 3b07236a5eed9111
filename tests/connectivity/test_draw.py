import os
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from matplotlib.image import imread
from matplotlib.patches import FancyArrowPatch
from reference.figures import texts_outside

from mmseg_sparsemask.connectivity import draw
from mmseg_sparsemask.connectivity.graph import Connection, all_connections
from mmseg_sparsemask.connectivity.presets import MBV2_STRIDES, preset
from mmseg_sparsemask.utils import figures

NAMES = {*(f'{kind}{level}' for kind in 'ED' for level in range(1, 10)), 'G'}


def texts(path):
    root = ElementTree.parse(path).getroot()
    assert root.tag == '{http://www.w3.org/2000/svg}svg'
    return {''.join(node.itertext()) for node in root.iter('{http://www.w3.org/2000/svg}text')}


def drawn():
    found = preset('sparsemask_mbv2_voc')
    weights = {c: float(c in found) for c in all_connections(9)}
    connections = list(weights)
    history = [[1.0] * 90, [weights[c] for c in connections]]
    return {
        'graph': draw.draw_graph(found),
        'weights': draw.draw_weights(weights, 'iteration 100'),
        'history': draw.draw_weight_history([0, 100], history, connections),
    }


def test_files_are_whole_and_say_the_right_names(tmp_path):
    for name, figure in drawn().items():
        for suffix in ('svg', 'png'):
            figures.save_figure(figure, tmp_path / f'{name}.{suffix}')
        image = imread(tmp_path / f'{name}.png')
        assert image.ndim == 3 and image.std() > 0.01
    assert len(os.listdir(tmp_path)) == 6
    graph = texts(tmp_path / 'graph.svg')
    assert graph >= NAMES | {'classifier', '15 connections', '1/2', '1/32'}
    weights = texts(tmp_path / 'weights.svg')
    assert weights >= (NAMES | {'iteration 100', 'stage', 'source'})
    history = texts(tmp_path / 'history.svg')
    assert history >= {f'{source} → {stage}' for source, stage in all_connections(9)}


def test_what_pruning_keeps_is_marked():
    connections = all_connections(2)
    weights = {c: 0.0 for c in connections}
    kept = [c for c in connections if c.stage == 'D1' and c.source in ('E1', 'E2')]
    weights.update({c: 0.8 for c in kept})
    unread = next(c for c in connections if c.stage == 'D2')
    weights[unread] = 0.9
    figure = draw.draw_weight_history(
        [0, 5], [[1.0] * 6, list(weights.values())], connections, kept
    )
    axes = figure.axes[0]
    bold = [label.get_text() for label in axes.get_yticklabels() if label.get_weight() == 'bold']
    assert bold == ['E1 → D1', 'E2 → D1']
    (faded,) = axes.patches  # D2 stays bright to the end, and nobody reads it
    assert faded.get_y() == connections.index(unread)
    assert 'Pale: dropped although' in figure.get_supxlabel() and texts_outside(figure) == []
    assert axes.get_xlim() == (0, 5), 'it ends where the search ended'
    without = draw.draw_weight_history([0, 5], [[0.0] * 6] * 2, connections, connections)
    assert without.get_supxlabel() == 'Bold: kept.'
    plain = draw.draw_weight_history([0], [[1.0] * 6], connections).axes[0]
    assert not plain.patches and plain.get_yticklabels()[0].get_weight() != 'bold'
    (dots,) = draw.draw_weights(weights, kept=kept).axes[0].lines
    assert dots.get_xydata().tolist() == [[0, 0], [1, 0]]
    assert not draw.draw_weights(weights).axes[0].lines


def test_same_picture_same_bytes(tmp_path):
    for name in ('a.svg', 'b.svg'):
        figures.save_figure(draw.draw_graph(preset('unet', (2, 4))), tmp_path / name)
    assert (tmp_path / 'a.svg').read_bytes() == (tmp_path / 'b.svg').read_bytes()


@pytest.mark.parametrize('name, arrows', [('unet', 17), ('fdn', 90)])
def test_an_arrow_for_each_connection(name, arrows):
    axes = draw.draw_graph(preset(name, MBV2_STRIDES)).axes[0]
    assert sum(isinstance(p, FancyArrowPatch) for p in axes.patches) == arrows + 1  # classifier


def test_unused_features_and_stages_are_grey():
    axes = draw.draw_graph(preset('sparsemask_mbv2_voc')).axes[0]
    shown = {text.get_text(): text.get_color() for text in axes.texts}
    alive = {name for name in NAMES if shown[name] == 'white'}
    assert alive == {'E1', 'E6', 'E7', 'E8', 'E9', 'G', 'D1', 'D6', 'D7', 'D8'}


def test_weights_stand_in_their_places():
    weights = {c: 0.0 for c in all_connections(3)}
    weights[Connection('E3', 'D2')] = 0.25
    weights[Connection('D3', 'D1')] = 0.75
    image = np.ma.filled(draw.draw_weights(weights).axes[0].images[0].get_array(), np.nan)
    nan = np.nan
    # Columns E1 E2 E3 G D2 D3, rows D1 D2 D3.
    expected = [
        [0, 0, 0, 0, 0, 0.75],
        [nan, 0, 0.25, 0, nan, 0],
        [nan, nan, 0, 0, nan, nan],
    ]
    np.testing.assert_array_equal(image, expected)


def test_sources_may_be_coarser_than_every_stage():
    for name in ('flat', 'sparsemask_mbv2_voc'):
        space = preset(name, MBV2_STRIDES)
        (axes, *_) = draw.draw_weights(dict.fromkeys(space, 1.0)).axes
        shown = axes.images[0].get_array()
        assert shown.shape == (len(space.stages), 18) and shown.sum() == len(space)


BAD = {
    'no suffix': (
        lambda p: figures.save_figure(figures.new_figure(1, 1), p / 'x'),
        'got the suffix',
    ),
    'unknown suffix': (
        lambda p: figures.save_figure(figures.new_figure(1, 1), p / 'x.bmp2'),
        r"x\.bmp2: expected a name that ends in \.svg, \.png or \.pdf, got the suffix 'bmp2'",
    ),
    'no folder': (
        lambda p: figures.save_figure(figures.new_figure(1, 1), p / 'no' / 'x.svg'),
        'cannot be written',
    ),
    'no weights': (lambda p: draw.draw_weights({}), 'at least one connection'),
    'no records': (lambda p: draw.draw_weight_history([], [], all_connections(1)), 'at least one'),
    'no costs': (lambda p: draw.draw_cost_history([], [], 5, 'x'), 'at least one'),
    'costs that do not fit': (
        lambda p: draw.draw_cost_history([0, 1], [9], 5, 'x'),
        r'expected one for each of 2 .* steps, got 1',
    ),
    'records that do not fit': (
        lambda p: draw.draw_weight_history([0], [[1.0]], all_connections(1)),
        r'a record of 2 weights for each of 1 .*shape \(1, 1\)',
    ),
}


def test_cost_history_shows_costs_and_budget():
    (axes,) = draw.draw_cost_history([0, 10, 20], [90, 50, 28], 30, 'parameters').axes
    costs, budget = axes.lines
    assert costs.get_xydata().tolist() == [[0, 90], [10, 50], [20, 28]]
    assert set(budget.get_ydata()) == {30}
    assert axes.get_ylabel() == 'parameters' and axes.get_ylim()[0] == 0


@pytest.mark.parametrize('name', BAD)
def test_bad_input(name, tmp_path):
    call, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        call(tmp_path)
    assert os.listdir(tmp_path) == []
