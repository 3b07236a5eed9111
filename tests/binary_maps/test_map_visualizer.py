"""What `MapVisualizer` draws, against the arrays it was given."""

import mmcv
import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import VISUALIZERS
from mmseg.structures import SegDataSample

import mmseg_sparsemask  # noqa: F401
from mmseg_sparsemask.binary_maps.map_visualizer import MapVisualizer, _truth
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
