import cv2
import numpy as np
import pytest

from mmseg_sparsemask.edges.hed_augment import (
    HEDAugment,
    largest_upright_rectangle,
    rotate_and_crop,
    scale_label,
)


def _fits(height, width, inner_h, inner_w, degrees):
    """All four corners of the upright rectangle lie inside the rotated frame."""
    a = np.deg2rad(degrees)
    for sy in (-1, 1):
        for sx in (-1, 1):
            x, y = sx * inner_w / 2, sy * inner_h / 2
            u = x * np.cos(a) + y * np.sin(a)
            v = -x * np.sin(a) + y * np.cos(a)
            if abs(u) > width / 2 + 1e-6 or abs(v) > height / 2 + 1e-6:
                return False
    return True


@pytest.mark.parametrize('height, width', [(321, 481), (481, 321), (50, 400), (100, 100)])
@pytest.mark.parametrize('degrees', np.arange(16) * 22.5)
def test_rectangle_is_inside_and_largest(height, width, degrees):
    inner_h, inner_w = largest_upright_rectangle(height, width, degrees)
    assert _fits(height, width, inner_h, inner_w, degrees)
    # No rectangle of any height found by scanning is larger by more than the rounding.
    best = 0
    a = np.deg2rad(degrees)
    sin, cos = abs(np.sin(a)), abs(np.cos(a))
    for h in [*np.linspace(1, np.hypot(height, width), 2000), height, width]:
        # From |w/2 cos| + |h/2 sin| <= width/2 and |w/2 sin| + |h/2 cos| <= height/2.
        limits = [(width - h * sin) / cos] if cos > 1e-9 else []
        limits += [(height - h * cos) / sin] if sin > 1e-9 else []
        if h * sin <= width + 1e-9 and h * cos <= height + 1e-9:
            best = max(best, h * min(limits))
    assert inner_h * inner_w <= best * 1.002
    assert (inner_h + 1) * (inner_w + 1) >= best


@pytest.mark.parametrize('degrees, want', [(0, (321, 481)), (90, (481, 321)), (180, (321, 481))])
def test_quarter_turns_keep_everything(degrees, want):
    assert largest_upright_rectangle(321, 481, degrees) == want
    array = np.arange(321 * 481).reshape(321, 481)
    np.testing.assert_array_equal(
        rotate_and_crop(array, degrees, cv2.INTER_LINEAR), np.rot90(array, degrees // 90)
    )


@pytest.mark.parametrize('degrees', [22.5, 45, 67.5, 112.5, 337.5])
def test_no_pixel_from_outside(degrees):
    """A frame drawn around the picture never shows in the crop."""
    array = np.full((60, 90), 7, np.uint8)
    padded = np.pad(array, 200, constant_values=99)
    inner_h, inner_w = rotate_and_crop(array, degrees, cv2.INTER_NEAREST).shape
    rotated = cv2.warpAffine(
        padded,
        cv2.getRotationMatrix2D(((padded.shape[1] - 1) / 2, (padded.shape[0] - 1) / 2), degrees, 1),
        padded.shape[::-1],
        flags=cv2.INTER_NEAREST,
        borderValue=99,
    )
    top, left = (padded.shape[0] - inner_h) // 2, (padded.shape[1] - inner_w) // 2
    crop = rotated[top + 1 : top + inner_h - 1, left + 1 : left + inner_w - 1]
    assert (crop == 7).all()


def test_rotation_is_counter_clockwise_and_about_the_centre():
    array = np.zeros((101, 101), np.uint8)
    array[50, 70] = 1  # right of the centre: turned by 45 degrees it lies up and right
    out = rotate_and_crop(array, 45, cv2.INTER_NEAREST)
    rows, cols = np.nonzero(out)
    centre = (np.array(out.shape) - 1) / 2
    assert abs(rows.mean() - (centre[0] - 20 / 2**0.5)) < 1.1
    assert abs(cols.mean() - (centre[1] + 20 / 2**0.5)) < 1.1


def test_shrinking_keeps_thin_lines():
    label = np.zeros((20, 20), np.uint8)
    label[5] = 1
    label[6] = 255
    label[:, 13] = 1
    out = scale_label(label, (10, 10))
    assert (out[2] == 1).all() and (out[:, 6] == 1).all()
    assert set(np.unique(out)) <= {0, 1, 255}
    assert (out[3] == 255).sum() == 9  # the crossing stays a boundary
    assert scale_label(label, (30, 30))[8].min() == 1


def test_image_and_label_move_together(monkeypatch):
    transform = HEDAugment()
    base = np.zeros((64, 96), np.uint8)
    cv2.circle(base, (60, 25), 15, 1, -1)
    for i in range(16):
        for flip in (False, True):
            for scale in transform.scales:
                monkeypatch.setattr(
                    transform, '_draw', lambda i=i, f=flip, s=scale: (i * 22.5, f, s)
                )
                results = dict(img=np.dstack([base * 200] * 3), gt_seg_map=base.copy())
                out = transform(results)
                assert out['img'].shape[:2] == out['gt_seg_map'].shape == out['img_shape']
                same = (out['img'][..., 0] > 100) == (out['gt_seg_map'] == 1)
                assert same.mean() > 0.95


def test_draws_every_variant():
    np.random.seed(0)
    transform = HEDAugment()
    seen = {transform._draw() for _ in range(3000)}
    assert len(seen) == 96


@pytest.mark.parametrize('bad', [dict(rotations=0), dict(scales=()), dict(scales=(0.0,))])
def test_wrong_settings(bad):
    with pytest.raises(ValueError, match='expected rotations'):
        HEDAugment(**bad)
