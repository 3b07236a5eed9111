"""Mean IoU of networks, against counting by hand."""

import dataclasses

import pytest
import torch

from mmseg_sparsemask.deployment.accuracy import TestSet, labels_of, mean_iou
from mmseg_sparsemask.deployment.metadata import Metadata

METADATA = Metadata(
    (0.0,) * 3, (1.0,) * 3, False, None, ('a', 'b', 'c'), ((0, 0, 0),) * 3, None, False
)


def test_mean_over_classes_that_occur():
    truth = torch.tensor([[0, 0, 1, 255]])
    found = torch.tensor([[0, 1, 1, 2]])
    logits = torch.nn.functional.one_hot(found, 3).permute(2, 0, 1)[None].float()
    test_set = TestSet([torch.zeros(1, 3, 1, 4)] * 2, [truth] * 2, 255, 'two')
    # a: one of two, b: one of two; c lies where nothing counts.
    assert mean_iou(lambda image: logits, test_set, METADATA) == pytest.approx(50)
    logits = logits[:, [0, 2, 1]]  # b and c changed places: a one of two, b and c none
    assert mean_iou(lambda image: logits, test_set, METADATA) == pytest.approx(50 / 3)


def test_nothing_that_counts():
    test_set = TestSet([torch.zeros(1, 3, 1, 2)], [torch.full((1, 2), 255)], 255, 'empty')
    with pytest.raises(ValueError, match=r'none that counts \(empty\)'):
        mean_iou(lambda image: torch.zeros(1, 3, 1, 2), test_set, METADATA)


def test_labels():
    logits = torch.tensor([[[[1.0, -1.0]], [[0.0, 0.0]]]])
    assert labels_of(logits, (1, 2), METADATA).tolist() == [[0, 1]]
    assert labels_of(logits, (2, 4), METADATA).tolist() == [[0, 0, 1, 1]] * 2
    one = dataclasses.replace(METADATA, threshold=0.7)
    # The sigmoids are 0.73 and 0.27.
    assert labels_of(logits[:, :1], (1, 2), one).tolist() == [[1, 0]]
