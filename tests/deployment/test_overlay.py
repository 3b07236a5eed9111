"""Colours over images, and their legend."""

import numpy as np
import pytest

from mmseg_sparsemask.datasets.palette import voc_palette
from mmseg_sparsemask.deployment.overlay import legend, overlay


def test_palette_is_that_of_voc():
    # The first colours of the VOC development kit.
    assert voc_palette(4) == [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0)]
    assert voc_palette(21)[20] == (0, 64, 128)


def test_overlay():
    image = np.full((40, 300, 3), 100, np.uint8)
    labels = np.zeros((40, 300), int)
    labels[:10] = 2
    labels[30:] = 255
    palette = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    drawn = overlay(image, labels, ['one', 'two', 'three'], palette, 0.5)
    assert drawn.dtype == np.uint8 and drawn.shape[1] == 300
    assert tuple(drawn[5, 5]) == (50, 50, 150)
    assert tuple(drawn[20, 5]) == (150, 50, 50)
    assert tuple(drawn[35, 5]) == (100, 100, 100)
    below = drawn[40:].reshape(-1, 3)
    colours = {tuple(colour) for colour in below.tolist()}
    assert {(200, 0, 0), (0, 0, 200)} <= colours and (0, 200, 0) not in colours
    with pytest.raises(ValueError, match='expected equal'):
        overlay(image, labels[1:], ['one'], palette)
    with pytest.raises(ValueError, match='a colour for each'):
        overlay(image, labels, ['a', 'b', 'c', 'd'], palette)
    with pytest.raises(ValueError, match='opacity'):
        overlay(image, labels, ['one'], palette, 2)


def test_legend_breaks_into_rows():
    entries = [(f'name {i}', (i, i, i)) for i in range(12)]
    wide, narrow = legend(entries, 2000), legend(entries, 200)
    assert wide.shape[0] < narrow.shape[0] and narrow.shape[1] <= 200
    assert legend(entries, 10).shape[1] > 10
