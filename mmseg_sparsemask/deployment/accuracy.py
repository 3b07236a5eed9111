"""Mean IoU of exported networks, to say what a smaller file costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from mmseg.evaluation import IoUMetric
from torch import Tensor
from tqdm import tqdm

from mmseg_sparsemask.deployment.metadata import Metadata
from mmseg_sparsemask.models.decode_heads.upsampling import upsample


@dataclass(frozen=True)
class TestSet:
    """Images to measure on, and what is to be found in them.

    Attributes:
        images: What the network gets, each (1, 3, h, w).
        truths: Labels (H, W), integers, at the size of the image that was read.
        ignore_index: Label of positions that do not count.
        title: Where they come from, for the report.
    """

    # The name looks like a test to pytest.
    __test__ = False

    images: Sequence[Tensor]
    truths: Sequence[Tensor]
    ignore_index: int
    title: str


def labels_of(logits: Tensor, size: Sequence[int], metadata: Metadata) -> Tensor:
    """Labels (H, W) of logits (1, classes, h, w), as a `Predictor` takes them."""
    logits = upsample(logits, size, metadata.align_corners)
    if metadata.threshold is not None:
        return (logits[0, 0].sigmoid() > metadata.threshold).long()
    return logits[0].argmax(0)


@torch.no_grad()
def mean_iou(network: Callable[[Tensor], Tensor], test_set: TestSet, metadata: Metadata) -> float:
    """Mean IoU of a network over the classes that occur, in percent.

    Args:
        network: From normalised images to logits.
        test_set: What to measure on.
        metadata: Of the exported file.

    Raises:
        ValueError: No position of the test set counts.
    """
    classes = len(metadata.classes)
    intersections, unions = torch.zeros(2, classes)
    pairs = zip(test_set.images, test_set.truths)
    for image, truth in tqdm(pairs, total=len(test_set.images), desc='mean IoU'):
        found = labels_of(network(image), truth.shape, metadata)
        intersection, union, *_ = IoUMetric.intersect_and_union(
            found, truth, classes, test_set.ignore_index
        )
        intersections += intersection
        unions += union
    if not (unions > 0).any():
        raise ValueError(
            f'mean IoU: expected images with labels, got none that counts ({test_set.title})'
        )
    return 100 * (intersections / unions)[unions > 0].mean().item()
