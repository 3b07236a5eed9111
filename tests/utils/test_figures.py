"""Figures on pages of any ground."""

import xml.etree.ElementTree as ElementTree

import matplotlib.image
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from mmseg_sparsemask.utils.figures import INK, figure_to_array, new_figure, save_figure

SVG = '{http://www.w3.org/2000/svg}'


def luminance(colour):
    """Relative luminance (WCAG 2.2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def figure(title='Weights'):
    made = new_figure(4, 3)
    axes = made.add_subplot()
    axes.plot([0, 1], [0, 1], color='#3b6ea5', label='line')
    axes.set_title(title)
    axes.legend()
    axes.text(0.2, 0.5, 'in a box', color='white', bbox=dict(color='#3b6ea5'))
    return made


@pytest.mark.parametrize('ground', ['#ffffff', '#15171a', '#0d1117'])
def test_ink_is_legible_on_light_and_dark_pages(ground):
    assert contrast(INK, ground) > 4


def test_an_svg_has_no_ground_a_title_and_no_black(tmp_path):
    made = figure()
    before = figure_to_array(made)
    save_figure(made, tmp_path / 'x.svg')
    root = ElementTree.parse(tmp_path / 'x.svg').getroot()
    assert root.find(f'{SVG}title').text == 'Weights'
    text = (tmp_path / 'x.svg').read_text().lower()
    assert INK in text and '#000000' not in text and 'fill: #3b6ea5' in text
    # What is drawn without a colour of its own would be black.
    for element in root.iter(f'{SVG}text'):
        assert 'fill: ' in element.get('style', '')
    assert 'fill: #ffffff' in text, 'text in a box keeps its colour'
    grounds = [e for e in root.iter(f'{SVG}path') if 'fill: #ffffff' in e.get('style', '')]
    assert all('opacity: 0' in e.get('style') for e in grounds)
    np.testing.assert_array_equal(figure_to_array(made), before, 'the figure is as it was')


def test_a_name_with_dollars_is_no_formula(tmp_path):
    made = figure('cost in $, price in $\\frac')
    made.axes[0].plot([0], [0], label='a $\\x$ b')
    made.axes[0].legend()
    save_figure(made, tmp_path / 'x.svg')
    text = (tmp_path / 'x.svg').read_text()
    assert 'cost in $, price in $\\frac' in text and 'a $\\x$ b' in text


def test_other_formats_keep_ground_and_ink(tmp_path):
    save_figure(figure(), tmp_path / 'x.png')
    image = matplotlib.image.imread(tmp_path / 'x.png')
    assert (image[0, 0] == 1).all() and image[..., :3].min() == 0


def test_without_a_title_the_file_gives_its_name(tmp_path):
    save_figure(figure(''), tmp_path / 'front.svg')
    assert ElementTree.parse(tmp_path / 'front.svg').getroot().find(f'{SVG}title').text == 'front'
