"""What `MapVisualizer` draws, against the arrays it was given."""

import runpy
import sys
from pathlib import Path

import mmcv
import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import VISUALIZERS
from mmseg.structures import SegDataSample

import mmseg_sparsemask  # noqa: F401
from mmseg_sparsemask.binary_maps.map_visualizer import MapVisualizer, _truth, draw_panels
from mmseg_sparsemask.utils import figures


@pytest.fixture
def drawn(monkeypatch):
    """Titles and arrays of the panels of each drawing."""
    seen = []
    to_array = figures.figure_to_array

    def watched(figure):
        panels = [(axes.get_title(), axes.images[0].get_array()) for axes in figure.axes]
        seen.append(panels)
        return to_array(figure)

    monkeypatch.setattr('mmseg_sparsemask.binary_maps.map_visualizer.figure_to_array', watched)
    return seen


def sample(probability, labels=None, boundaries=None):
    made = SegDataSample()
    made.seg_logits = PixelData(data=torch.from_numpy(probability)[None])
    if labels is not None:
        made.gt_sem_seg = PixelData(data=torch.from_numpy(labels)[None])
    if boundaries is not None:
        made.set_metainfo(dict(gt_boundaries=boundaries))
    return made


def test_image_truth_and_map_with_titles(drawn, tmp_path):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    probability = rng.random((20, 30), dtype=np.float32)
    labels = rng.integers(0, 2, (20, 30))
    visualizer = VISUALIZERS.build(dict(type='MapVisualizer', name='maps'))
    assert type(visualizer) is MapVisualizer
    path = tmp_path / 'x.png'
    visualizer.add_datasample('x', image, sample(probability, labels), out_file=str(path))
    (panels,) = drawn
    assert [title for title, _ in panels] == ['image', 'truth', 'probability, black 0 to white 1']
    for (_, found), expected in zip(panels, (image, labels, probability)):
        np.testing.assert_array_equal(found, expected)
    assert mmcv.imread(str(path)).shape[1] > mmcv.imread(str(path)).shape[0] * 2


def test_truth_is_left_out_where_there_is_none(drawn):
    image = np.zeros((4, 4, 3), np.uint8)
    VISUALIZERS.build(dict(type='MapVisualizer', name='maps')).add_datasample(
        'x', image, sample(np.ones((4, 4), np.float32))
    )
    assert [title for title, _ in drawn[0]] == ['image', 'probability, black 0 to white 1']


def test_truth_of_several_annotators_and_of_unlabelled_pixels():
    boundaries = np.array([[[1, 1, 0]], [[0, 1, 0]]], np.uint8)
    one = sample(np.zeros((1, 3), np.float32), boundaries=boundaries)
    np.testing.assert_array_equal(_truth(one), [[0.5, 1, 0]])
    other = sample(np.zeros((1, 3), np.float32), labels=np.array([[0, 1, 255]]))
    np.testing.assert_array_equal(_truth(other), [[0, 1, 0.5]])


def test_rows_of_several_images_have_one_line_of_titles():
    tall, flat = np.zeros((40, 20)), np.ones((10, 20))
    figure = draw_panels([{'image': flat, 'HED': flat}, {'HED': tall + 0.5, 'image': tall}])
    assert [axes.get_title() for axes in figure.axes] == ['image', 'HED', '', '']
    assert [float(axes.images[0].get_array()[0, 0]) for axes in figure.axes] == [1, 1, 0, 0.5]


def test_the_tool_reads_masks_and_annotations(tmp_path, monkeypatch):
    tool = Path(__file__).parents[2] / 'tools/draw_maps.py'
    for folder, values in (('images', (20, 30, 3)), ('truth', (20, 30)), ('maps', (20, 30))):
        (tmp_path / folder).mkdir()
        mmcv.imwrite(np.full(values, 255, np.uint8), str(tmp_path / folder / 'a.png'))
    line = [str(tmp_path / 'images'), str(tmp_path / 'truth'), '--maps', f'HED={tmp_path}/maps']
    out = ['--names', 'a', '--out', str(tmp_path / 'shown.jpg')]
    monkeypatch.setattr(sys, 'argv', [str(tool), *line, *out])
    runpy.run_path(str(tool), run_name='__main__')
    assert mmcv.imread(str(tmp_path / 'shown.jpg')).min() < 255  # the titles
    monkeypatch.setattr(sys, 'argv', [str(tool), *line, '--names', 'b'])
    with pytest.raises(SystemExit):
        runpy.run_path(str(tool), run_name='__main__')


def test_the_tool_draws_grey_images_as_they_are(tmp_path, monkeypatch):
    tool = Path(__file__).parents[2] / 'tools/draw_maps.py'
    left = np.zeros((20, 30), np.uint8)
    left[:, :10] = 255
    for folder in ('images', 'truth', 'maps'):
        (tmp_path / folder).mkdir()
        mmcv.imwrite(left, str(tmp_path / folder / 'a.png'))
    seen = []
    monkeypatch.setattr(
        'mmseg_sparsemask.binary_maps.map_visualizer.draw_panels',
        lambda rows, width: seen.extend(rows) or draw_panels(rows, width),
    )
    line = [str(tool), str(tmp_path / 'images'), str(tmp_path / 'truth'), '--names', 'a']
    out = ['--out', str(tmp_path / 'shown.png'), '--maps', f'HED={tmp_path}/maps']
    monkeypatch.setattr(sys, 'argv', [*line, *out])
    runpy.run_path(str(tool), run_name='__main__')
    np.testing.assert_array_equal(seen[0]['image'], np.dstack([left] * 3))
    for more in (f'HED={tmp_path}/maps', f'{tmp_path}/maps'):
        monkeypatch.setattr(sys, 'argv', [*line, *out, more])
        with pytest.raises(SystemExit, match='^error: --maps: expected .* each title once'):
            runpy.run_path(str(tool), run_name='__main__')
