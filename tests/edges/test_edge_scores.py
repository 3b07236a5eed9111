"""ODS, OIS, AP and R50 on cases small enough to work out by hand."""

import numpy as np
import pytest

from mmseg_sparsemask.edges.scores import (
    EdgeCounts,
    average_precision,
    best_f,
    default_thresholds,
    evaluate_image,
    f_measure,
    precision_recall,
    recall_at_half,
    summarise,
)


def counts(*rows):
    return EdgeCounts(*np.array(rows))


def line(column, shape=(60, 80)):
    out = np.zeros(shape, bool)
    out[10:50, column] = True
    return out


def test_thresholds_are_the_benchmarks():
    np.testing.assert_allclose(default_thresholds(), np.arange(0.01, 0.995, 0.01))
    np.testing.assert_allclose(default_thresholds(1), [0.5])
    with pytest.raises(ValueError, match='thresholds must be'):
        default_thresholds(0)


def test_perfect_prediction_scores_one():
    """Grading the true boundary from 0 to 1 gives precision 1 at every recall."""
    target = line(40)
    pred = np.zeros(target.shape)
    pred[target] = np.arange(1, 41) / 40
    thresholds = default_thresholds()
    scores = summarise([evaluate_image(pred, [target, target], thresholds)], thresholds)
    assert (scores.ods, scores.ois, scores.r50) == (1.0, 1.0, 1.0)
    # Recall starts at 1/40, so the grid points 0, 0.01 and 0.02 lie outside.
    assert scores.ap == pytest.approx(0.98)
    assert (scores.precision == 1).all()


def test_perfect_binary_prediction():
    scores = summarise([evaluate_image(line(40) * 1.0, [line(40)], [0.25, 0.5])], [0.25, 0.5])
    assert (scores.ods, scores.ois, scores.r50) == (1.0, 1.0, 1.0)
    assert scores.ap == pytest.approx(0.01)  # one point of the curve only: documented


def test_counts_by_hand():
    """Two annotators share one line of 40 pixels; the second marks another of 40."""
    pred = 0.9 * line(20) + 0.4 * line(70)
    targets = [line(20), line(20) | line(50)]
    got = evaluate_image(pred, targets, [0.3, 0.6, 0.95])
    assert got.total_target.tolist() == [120, 120, 120]
    assert got.matched_target.tolist() == [80, 80, 0]
    assert got.total_pred.tolist() == [80, 40, 0]
    # The line at 20 is matched with both annotators and counts once.
    assert got.matched_pred.tolist() == [40, 40, 0]
    precision, recall = precision_recall(got)
    np.testing.assert_allclose(precision, [0.5, 1, 0])
    np.testing.assert_allclose(recall, [2 / 3, 2 / 3, 0])


@pytest.mark.parametrize('shift, hit', [(0, True), (1, True), (2, False)])
def test_shift_below_and_above_the_tolerance(shift, hit):
    """0.0150 of the diagonal of 100 is 1.5 pixels."""
    got = evaluate_image(line(20 + shift) * 1.0, [line(20)], [0.5], max_dist=0.015)
    assert got.matched_pred[0] == got.matched_target[0] == (40 if hit else 0)


def test_order_of_annotators_is_irrelevant():
    rng = np.random.default_rng(0)
    pred = rng.random((40, 50))
    targets = [rng.random((40, 50)) < p for p in (0.05, 0.1, 0.2)]
    thresholds = [0.2, 0.5, 0.8]
    want = evaluate_image(pred, targets, thresholds)
    for order in ([1, 2, 0], [2, 1, 0], [0, 2, 1]):
        got = evaluate_image(pred, [targets[i] for i in order], thresholds)
        np.testing.assert_array_equal(got, want)


def test_thick_predictions_are_thinned():
    thick = line(19) | line(20) | line(21)
    thin = evaluate_image(thick * 1.0, [line(20)], [0.5])
    assert thin.total_pred[0] <= 40
    assert evaluate_image(thick * 1.0, [line(20)], [0.5], thinning=False).total_pred[0] == 120


def test_nms_option_thins_a_soft_ridge():
    y, x = np.mgrid[:60, :80]
    ridge = np.exp(-(((x - 40) / 3.0) ** 2))
    target = np.zeros((60, 80), bool)
    target[:, 40] = True
    got = evaluate_image(ridge, [target], [0.3], nms=True)
    assert got.matched_pred[0] == got.total_pred[0] >= 48


def test_ods_interpolates_between_thresholds():
    """Between P, R = (0.2, 1) and (1, 0.2) the best F is at the middle, 0.6."""
    threshold, recall, precision, f = best_f([0.2, 0.4], [0.2, 1.0], [1.0, 0.2])
    assert f == pytest.approx(0.6, abs=1e-3)
    assert threshold == pytest.approx(0.3, abs=2e-3)
    assert precision == pytest.approx(0.6, abs=1e-2) and recall == pytest.approx(0.6, abs=1e-2)
    assert f_measure(0.2, 1.0) == pytest.approx(1 / 3)
    # 100 points between neighbours: the two middle ones are 49/99 and 50/99.
    assert f == pytest.approx(2 * (0.2 + 0.8 * 49 / 99) * (1 - 0.8 * 49 / 99) / 1.2)


def test_ois_sums_counts_at_each_images_own_threshold():
    thresholds = [0.3, 0.6]
    # rows: matched target, total target, matched pred, total pred
    a = counts([8, 4], [10, 10], [8, 4], [10, 20])  # best at 0.3
    b = counts([2, 6], [10, 10], [2, 6], [10, 6])  # best at 0.6
    scores = summarise([a, b], thresholds)
    precision, recall = (8 + 6) / (10 + 6), (8 + 6) / (10 + 10)
    assert scores.ois == pytest.approx(2 * precision * recall / (precision + recall))
    assert scores.ois > scores.ods
    np.testing.assert_allclose(scores.images[:, 0], [0.3, 0.6])
    np.testing.assert_allclose(scores.images[0, 1:], [0.8, 0.8, 0.8])


def test_average_precision_by_hand():
    """A straight line from (R 0.5, P 1) to (R 1, P 0.5), zero below recall 0.5."""
    want = sum(1.5 - r / 100 for r in range(50, 101)) * 0.01
    assert average_precision(np.array([0.5, 1.0]), np.array([1.0, 0.5])) == pytest.approx(want)
    assert average_precision(np.array([1.0]), np.array([0.5])) == pytest.approx(0.01)
    assert average_precision(np.array([0.0, 0.0]), np.array([0.0, 0.0])) == 0
    full = average_precision(np.ones(2), np.array([1.0, 0.0]))
    assert full == 1.0


def test_recall_at_half_by_hand():
    # P, R: (0.25, 1), (0.75, 0.5): precision one half is midway.
    assert recall_at_half(counts([4, 2], [4, 4], [1, 3], [4, 4])) == pytest.approx(0.75)
    # Never below one half: the largest recall.
    assert recall_at_half(counts([3, 2], [4, 4], [3, 4], [4, 4])) == pytest.approx(0.75)
    # Never above.
    assert recall_at_half(counts([3, 2], [4, 4], [1, 1], [4, 4])) == 0
    # A threshold without predictions has no precision and takes no part.
    assert recall_at_half(counts([3, 0], [4, 4], [1, 0], [4, 0])) == 0
    assert recall_at_half(counts([0], [4], [0], [0])) == 0


def test_nothing_predicted_or_nothing_annotated_scores_zero():
    none, thresholds = np.zeros((60, 80), bool), default_thresholds(9)
    for pred, target in ((none, line(20)), (line(20), none)):
        scores = summarise([evaluate_image(pred * 1.0, [target], thresholds)], thresholds)
        assert (scores.ods, scores.ois, scores.ap, scores.r50) == (0, 0, 0, 0)


def test_one_image_has_equal_ods_and_ois_on_its_thresholds():
    got = counts([8, 4], [10, 10], [8, 4], [10, 4])
    scores = summarise([got], [0.3, 0.6])
    assert scores.ois == pytest.approx(0.8) and scores.ods >= scores.ois


def test_wrong_inputs():
    pred, target = np.zeros((60, 80)), line(20)
    with pytest.raises(ValueError, match=r'x\.mat: prediction is \(60, 80\).*\(80, 60\)'):
        evaluate_image(pred, [target, target.T], [0.5], name='x.mat')
    with pytest.raises(ValueError, match='divide an 8-bit map by 255'):
        evaluate_image(pred.astype(np.uint8), [target], [0.5])
    with pytest.raises(ValueError, match='sigmoid'):
        evaluate_image(pred - 3, [target], [0.5])
    with pytest.raises(ValueError, match='sigmoid'):
        evaluate_image(pred + np.nan, [target], [0.5])
    with pytest.raises(ValueError, match='at least one annotation'):
        evaluate_image(pred, [], [0.5])
    with pytest.raises(ValueError, match='no images'):
        summarise([], [0.5])
    with pytest.raises(ValueError, match='2 thresholds'):
        summarise([counts([1], [1], [1], [1])], [0.3, 0.6])


def test_without_scikit_image(monkeypatch):
    """Only thinning needs it."""
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    with pytest.raises(ImportError, match=r'\[edge\]'):
        evaluate_image(line(20) * 1.0, [line(20)], [0.5])
    evaluate_image(line(20) * 1.0, [line(20)], [0.5], thinning=False)
