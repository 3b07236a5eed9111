"""Mean IoU of predictors, against counting by hand."""

import numpy as np
import pytest

from mmseg_sparsemask.deployment.accuracy import TestSet, mean_iou
from mmseg_sparsemask.deployment.onnx_predictor import Predictor


class Finds(Predictor):
    classes = ('a', 'b', 'c')

    def __init__(self, labels):
        self.labels = np.array(labels)

    def predict(self, image):
        return self.labels


def one(truth, title='one'):
    truth = np.array([truth], np.uint8)
    return TestSet([np.zeros((*truth.shape, 3), np.uint8)] * 2, [truth] * 2, 255, title)


def test_mean_over_classes_that_occur():
    # a: one of two, b: one of two; c lies where nothing counts.
    assert mean_iou(Finds([[0, 1, 1, 2]]), one([0, 0, 1, 255])) == pytest.approx(50)
    # b and c changed places: a one of two, b and c none
    assert mean_iou(Finds([[0, 2, 2, 1]]), one([0, 0, 1, 255])) == pytest.approx(50 / 3)


@pytest.mark.parametrize(
    'truth, message',
    [
        ([255, 255], r'labels that count, got none \(odd\)'),
        ([0, 3], r'labels from 0 to 2, or 255 .* got 0 to 3 \(odd\)'),
        ([7, 254], 'got 7 to 254'),
    ],
)
def test_labels_that_do_not_fit(truth, message):
    with pytest.raises(ValueError, match=message):
        mean_iou(Finds([[0, 0]]), one(truth, 'odd'))
