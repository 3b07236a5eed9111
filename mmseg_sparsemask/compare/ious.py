"""IoU of each class from label maps, counted image by image."""

from __future__ import annotations

import torch
from torch import Tensor


def confusion(truth: Tensor, found: Tensor, classes: int) -> Tensor:
    """How often each class was taken for each: (classes, classes), the truth by rows.

    Args:
        truth: True labels of the pixels that count, below `classes`.
        found: Predicted ones, of the same shape.
        classes: Their number.
    """
    pairs = truth.long() * classes + found.long()
    return torch.bincount(pairs.flatten(), minlength=classes**2).view(classes, classes)


def ious(table: Tensor) -> Tensor:
    """IoU of each class in percent, (classes,); NaN for one that neither occurs nor is predicted.

    Args:
        table: Sum of what `confusion` gives.
    """
    table = table.double()
    hits = table.diag()
    return 100 * hits / (table.sum(0) + table.sum(1) - hits)
