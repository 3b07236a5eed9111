"""The page of a fit: everything in it, nothing from elsewhere, whatever names say."""

import re
from dataclasses import replace

import cv2
import numpy as np
import pytest

from mmseg_sparsemask.connectivity import preset
from mmseg_sparsemask.connectivity.draw import draw_graph
from mmseg_sparsemask.report import FitRecord, Step, fit_page
from mmseg_sparsemask.utils.figures import new_figure

TILE = np.zeros((8, 12, 3), np.uint8)
PNG, JPEG = (bytes(cv2.imencode(kind, TILE)[1]) for kind in ('.png', '.jpg'))


def record():
    return FitRecord(
        name='Networks for 2 classes',
        choice='U-Net: mIoU 50.0 at 20.0 ms.',
        rows=[{'network': 'U-Net', 'mIoU': '50.00', 'chosen': 'chosen'}],
        scores=new_figure(4, 3),
        graphs=[(name, draw_graph(preset('unet', (2, 4, 8)))) for name in ('U-Net', 'searched')],
        images={'train': 32, 'val': 8},
        size=(240, 320),
        machine='a CPU',
        iterations=(50, 100),
        seen=['40 images'],
        done=['3:07 in all'],
        networks=['U-Net'],
        classes=[('<b>road</b>', '#ff0000', [12.5]), ('sky', '#0000ff', [None])],
        gallery=[('001', [JPEG, PNG, PNG])],
        code="predictor = load_predictor('model.onnx')",
        commands=[Step('mmseg-sparsemask test', 'Score it again')],
    )


def test_all_is_in_it_and_nothing_is_loaded():
    page = fit_page(record())
    words = [
        'U-Net: mIoU 50.0',
        'The decoder of U-Net',
        'The decoder of searched',
        '50.00',
        '8 validation images',
        '320×240',
        'a CPU',
        '40 images',
        '3:07 in all',
        '12.5',
    ]
    words += ['&lt;b&gt;road', '#ff0000', 'load_predictor(&#39;model.onnx&#39;)', 'Score it again']
    assert all(word in page for word in words) and '<b>road' not in page
    sources = re.findall(r'src="([^"]{22})', page)
    kinds = [source.partition(';')[0] for source in sources]
    assert kinds.count('data:image/svg+xml') == 3 and kinds.count('data:image/png') == 2
    assert kinds.count('data:image/jpeg') == 1
    assert not re.search(r'(src|href)="(?!data:)', page)


def test_no_network():
    with pytest.raises(ValueError, match='expected at least one network'):
        fit_page(replace(record(), rows=[]))
