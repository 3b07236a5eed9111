"""NMS against hand-made ridges and against OpenCV contrib's edgesNms."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.ndimage import convolve1d

from mmseg_sparsemask.edges.nms import edge_nms, edge_orientation, suppress_non_maxima


def _ridge(angle, size=61, width=2.0):
    """A soft line through the centre whose normal has the given angle to the x axis."""
    y, x = np.mgrid[:size, :size] - size // 2
    across = x * np.cos(angle) + y * np.sin(angle)
    return np.exp(-((across / width) ** 2) / 2).astype(np.float32)


@pytest.mark.parametrize('degrees', [*range(0, 180, 10), 45, 135])
def test_orientation_points_across_a_ridge(degrees):
    angle = edge_orientation(_ridge(np.deg2rad(degrees)))[30, 30]
    off = (np.rad2deg(angle) - degrees + 90) % 180 - 90
    assert abs(off) < (20 if degrees % 45 else 1)


@pytest.mark.parametrize('degrees', [0, 30, 45, 90, 120])
def test_thinned_ridge_keeps_its_crest(degrees):
    angle = np.deg2rad(degrees)
    ridge = _ridge(angle)
    thinned = edge_nms(ridge, map_smooth_radius=0, border=0)
    y, x = np.nonzero(thinned[10:-10, 10:-10] > 0.01)
    across = (x - 20) * np.cos(angle) + (y - 20) * np.sin(angle)
    assert np.abs(across).max() < 1.01
    assert len(y) >= 40
    kept = thinned > 0
    np.testing.assert_array_equal(thinned[kept], ridge[kept])


def test_multiplier_keeps_near_ties():
    edges = np.zeros((5, 7), np.float32)
    edges[:, 3], edges[:, 4] = 0.5, 0.503
    across = np.zeros_like(edges)
    assert suppress_non_maxima(edges, across, border=0)[2, 3] == np.float32(0.5)
    assert suppress_non_maxima(edges, across, border=0, multiplier=1.0)[2, 3] == 0


def test_border_fades():
    edges, across = np.ones((20, 30), np.float32), np.zeros((20, 30), np.float32)
    out = suppress_non_maxima(edges, across, border=5)
    np.testing.assert_allclose(out[10, :6], [0, 0.2, 0.4, 0.6, 0.8, 1])
    np.testing.assert_allclose(out[10, -6:], [1, 0.8, 0.6, 0.4, 0.2, 0])
    np.testing.assert_allclose(out[:6, 15], [0, 0.2, 0.4, 0.6, 0.8, 1])


@pytest.mark.parametrize('radius', [1, 2])
def test_the_map_is_smoothed_first(radius):
    """By a triangle, (1, 2, 1) / 4 for radius 1: against SciPy's convolution, borders mirrored."""
    rng = np.random.default_rng(0)
    edges = cv2.GaussianBlur(rng.random((40, 50), dtype=np.float32), (0, 0), 1)
    triangle = np.convolve(np.ones(radius + 1), np.ones(radius + 1)) / (radius + 1) ** 2
    smooth = edges
    for axis in (0, 1):
        smooth = convolve1d(smooth, triangle, axis, mode='mirror')
    want = edge_nms(smooth, map_smooth_radius=0)
    got = edge_nms(edges, map_smooth_radius=radius)
    differ = ~np.isclose(got, want, atol=1e-6)
    assert differ.mean() < 1e-3 and (got > 0).sum() > 100
    assert not np.allclose(got, edge_nms(edges, map_smooth_radius=0), atol=1e-2)


def test_wrong_inputs():
    assert not edge_nms(np.zeros((9, 9))).any()
    with pytest.raises(ValueError, match=r'\(H, W\)'):
        edge_nms(np.zeros((3, 3, 1)))
    with pytest.raises(ValueError, match='finite'):
        edge_nms(np.full((3, 3), np.nan))
    with pytest.raises(ValueError, match='one size'):
        suppress_non_maxima(np.zeros((3, 4)), np.zeros((4, 3)))
    with pytest.raises(ValueError, match='radius'):
        suppress_non_maxima(np.zeros((3, 4)), np.zeros((3, 4)), radius=0)
    with pytest.raises(ValueError, match='map_smooth_radius must be at least 0 pixels, got -1'):
        edge_nms(np.zeros((9, 9)), map_smooth_radius=-1)


GOLDEN = np.load(Path(__file__).parent / 'golden' / 'nms_golden.npz', allow_pickle=False)


@pytest.mark.parametrize('case', range(4))
@pytest.mark.parametrize('radius, border', [(1, 5), (1, 0), (2, 3), (3, 30)])
def test_equals_opencv(case, radius, border):
    edges, orientation = GOLDEN[f'edges_{case}'], GOLDEN[f'orientation_{case}']
    ours = edge_orientation(edges)
    off = np.abs((ours - orientation + np.pi / 2) % np.pi - np.pi / 2)
    # On the outermost pixels the mixed derivative is exactly 0, where OpenCV gives up; see nms.py.
    assert np.quantile(off[1:-1, 1:-1], 0.99) < 1e-5

    want = GOLDEN[f'thinned_{case}_{radius}_{border}']
    got = suppress_non_maxima(edges, orientation, radius, border, 1.01)
    differ = ~np.isclose(got, want, atol=1e-6)
    # Only a comparison that is a tie to rounding may fall the other way.
    assert differ.mean() < 1e-3
    assert (got > 0).sum() > 50
    got = edge_nms(edges, map_smooth_radius=0, radius=radius, border=border)
    differ = ~np.isclose(got, want, atol=1e-6)
    assert differ[1:-1, 1:-1].mean() < 2e-3
