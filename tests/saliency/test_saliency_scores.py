import json
from pathlib import Path

import numpy as np
import pytest

from mmseg_sparsemask.saliency import scores as saliency
from mmseg_sparsemask.saliency.scores import score_image, summarise, to_uint8

GOLDEN = json.loads((Path(__file__).parent / 'golden' / 'saliency_golden.json').read_text())


def _case(case):
    return np.array(case['pred'], np.uint8), np.array(case['mask'], bool)


def _library_curve(values):
    """The library's 256 levels run from 255 to 0; ours from 1 to 255."""
    return np.array(values)[::-1][1:]


@pytest.mark.parametrize('case', GOLDEN['cases'], ids=lambda c: c['name'])
def test_image_scores_equal_the_library(case):
    image = score_image(*_case(case))
    for key in ('mae', 's_measure', 'adaptive_f', 'adaptive_e'):
        assert getattr(image, key) == pytest.approx(case[key], abs=1e-9), key
    for key in ('precision', 'recall', 'e_curve'):
        np.testing.assert_allclose(
            getattr(image, key), _library_curve(case[key]), atol=1e-9, err_msg=key
        )


def test_data_set_scores_equal_the_library():
    scores = summarise([score_image(*_case(case)) for case in GOLDEN['cases']])
    want = GOLDEN['all']
    for key in ('mae', 's_measure', 'adaptive_f', 'adaptive_e'):
        assert scores[key] == pytest.approx(want[key], abs=1e-9), key
    e_curve = _library_curve(want['e_curve'])
    assert scores['max_e'] == pytest.approx(e_curve.max(), abs=1e-9)
    assert scores['mean_e'] == pytest.approx(e_curve.mean(), abs=1e-9)
    p, r = _library_curve(want['precision']), _library_curve(want['recall'])
    f = 1.3 * p * r / np.maximum(0.3 * p + r, 1e-12)
    assert scores['max_f'] == pytest.approx(f.max(), abs=1e-9)
    assert scores['mean_f'] == pytest.approx(f.mean(), abs=1e-9)


def test_max_f_is_of_averaged_curves_not_the_average_of_f():
    """Two images whose best levels differ: averaging F per image would give another number."""
    mask = np.array([[1, 1, 0, 0]], bool)
    a = score_image(np.array([[255, 255, 0, 0]], np.uint8), mask)
    b = score_image(np.array([[255, 51, 255, 0]], np.uint8), mask)
    # Up to level 51, b has precision 2/3 and recall 1; above, 1/2 and 1/2.
    p, r = (1 + 2 / 3) / 2, 1.0
    assert summarise([a, b])['max_f'] == pytest.approx(1.3 * p * r / (0.3 * p + r))
    f_b = 1.3 * (2 / 3) / (0.3 * 2 / 3 + 1)
    assert summarise([a, b])['max_f'] != pytest.approx((1 + f_b) / 2, abs=1e-4)


def test_perfect_map():
    mask = np.zeros((12, 10), bool)
    mask[3:8, 2:7] = True
    scores = summarise([score_image((255 * mask).astype(np.uint8), mask)])
    for key in ('max_f', 'mean_f', 'adaptive_f', 's_measure'):
        assert scores[key] == pytest.approx(1.0, abs=1e-9), key
    # The published definition divides by one pixel less than there are.
    assert scores['max_e'] == pytest.approx(120 / 119)
    assert scores['mae'] == 0


def test_mae_by_hand_without_and_with_stretch():
    pred = np.array([[51, 102], [51, 153]], np.uint8)
    mask = np.array([[0, 1], [0, 1]], bool)
    assert score_image(pred, mask, stretch=False).mae == pytest.approx((0.2 + 0.6 + 0.2 + 0.4) / 4)
    assert score_image(pred, mask).mae == pytest.approx((0 + 0.5 + 0 + 0) / 4)


def test_levels_are_255():
    assert len(saliency.LEVELS) == 255 and saliency.LEVELS[0] == 1 and saliency.LEVELS[-1] == 255


def test_empty_prediction_and_empty_mask_have_defined_scores():
    none, mask = np.zeros((6, 6), np.uint8), np.eye(6, dtype=bool)
    empty_map = score_image(none, mask)
    assert not empty_map.precision.any() and not empty_map.recall.any()
    assert empty_map.mae == pytest.approx(1 / 6)
    empty_mask = score_image(np.full((6, 6), 9, np.uint8), np.zeros((6, 6), bool))
    assert not empty_mask.precision.any() and empty_mask.adaptive_f == 0
    assert summarise([empty_map, empty_mask])['max_f'] == 0


def test_object_in_the_last_corner_is_finite():
    mask = np.zeros((6, 7), bool)
    mask[-1, -1] = True
    pred = np.arange(42, dtype=np.uint8).reshape(6, 7)
    assert np.isfinite(score_image(pred, mask).s_measure)


def test_wrong_inputs_say_what_to_do():
    mask = np.zeros((4, 5), bool)
    with pytest.raises(ValueError, match=r'a\.png.*resize the prediction'):
        score_image(np.zeros((5, 4), np.uint8), mask, name='a.png')
    with pytest.raises(ValueError, match=r'a\.png: expected maps of at least 2 pixels'):
        score_image(np.zeros((1, 1), np.uint8), np.ones((1, 1), bool), name='a.png')
    with pytest.raises(ValueError, match='boolean'):
        score_image(np.zeros((4, 5), np.uint8), mask.astype(int))
    with pytest.raises(ValueError, match='uint8'):
        score_image(np.zeros((4, 5)), mask)
    with pytest.raises(ValueError, match='sigmoid'):
        to_uint8(np.array([[2.0]]))
    with pytest.raises(ValueError, match='sigmoid'):
        to_uint8(np.array([[np.nan]]))
    with pytest.raises(ValueError, match='no images'):
        summarise([])
