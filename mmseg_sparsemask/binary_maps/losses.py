"""Binary cross entropies for heads with one output channel: plain, and balanced by class."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from mmseg.models.losses import CrossEntropyLoss
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_sparsemask.utils.checks import check_one_of


@MODELS.register_module()
class BinaryCrossEntropyLoss(CrossEntropyLoss):
    """Mean binary cross entropy over the labelled pixels.

    Equals MMSegmentation's ``CrossEntropyLoss(use_sigmoid=True, avg_non_ignore=True)``, which
    ends in a RuntimeError where no pixel of a batch is labelled, as after cropping into padding.
    Here such a batch contributes 0.

    Args:
        loss_weight: Factor.
        loss_name: In the logs; starts with ``loss_`` to take part in training.
    """

    def __init__(self, loss_weight: float = 1.0, loss_name: str = 'loss_ce') -> None:
        super().__init__(
            use_sigmoid=True, avg_non_ignore=True, loss_weight=loss_weight, loss_name=loss_name
        )

    def forward(
        self, cls_score: Tensor, label: Tensor, *args: Any, ignore_index: int = 255, **kwargs: Any
    ) -> Tensor:
        """The loss of logits (N, 1, H, W) against labels (N, H, W): 0, 1 or ``ignore_index``.

        Other arguments are those of `CrossEntropyLoss`.
        """
        if bool((label == ignore_index).all()):
            # Tied to the logits, so that every parameter has a gradient in every process.
            return cls_score.sum() * 0
        loss: Tensor = super().forward(cls_score, label, *args, ignore_index=ignore_index, **kwargs)
        return loss


def balanced_bce(
    logits: Tensor, label: Tensor, ignore_index: int = 255, reduction: str = 'mean'
) -> Tensor:
    """Binary cross entropy with each image's classes weighted by the share of the other.

    ``- b sum_positive log p - (1 - b) sum_negative log(1 - p)`` with b the share of negatives among
    the labelled pixels of the image (Xie and Tu, ICCV 2015, Eq. 2). An image of only one
    class has no other to balance and contributes 0.

    Args:
        logits: (N, H, W) or (N, 1, H, W).
        label: (N, H, W), 0, 1 or ``ignore_index``.
        ignore_index: Label of pixels that do not count.
        reduction: ``'sum'`` over all pixels of an image, as published, or ``'mean'``, divided by
            the sum of the weights too: the mean of the positives' and of the negatives' mean loss,
            which starts at log 2 however rare positives are. Averaged over the images.

    Returns:
        A scalar, in float32 or better.

    Raises:
        ValueError: On shapes that do not fit, other labels, or another reduction.
    """
    if logits.dim() == 4 and logits.shape[1] == 1:
        logits = logits.squeeze(1)
    if logits.shape != label.shape:
        raise ValueError(
            f'expected logits (N, 1, H, W) for labels (N, H, W), got {tuple(logits.shape)} and '
            f'{tuple(label.shape)}; set out_channels=1 in the head'
        )
    check_one_of('reduction', reduction, ('mean', 'sum'))
    # Half precision cannot count the pixels of an image.
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    positive, negative = label == 1, label == 0
    valid = label != ignore_index
    if not torch.equal(positive | negative, valid):
        found = torch.unique(label[valid]).tolist()
        raise ValueError(f'labels must be 0, 1 or {ignore_index}, got {found[:8]}')
    positives = positive.sum(dim=(1, 2)).to(logits.dtype)
    negatives = negative.sum(dim=(1, 2)).to(logits.dtype)
    total = (positives + negatives).clamp(min=1)
    for_positive, for_negative = negatives / total, positives / total
    weight = positive * for_positive[:, None, None] + negative * for_negative[:, None, None]
    target = positive.to(logits.dtype)
    loss = F.binary_cross_entropy_with_logits(logits, target, weight, reduction='none')
    loss = loss.sum(dim=(1, 2))
    if reduction == 'mean':
        # Where one class is missing all weights are 0, and so is the loss.
        loss = loss / weight.sum(dim=(1, 2)).clamp(min=1e-6)
    return loss.mean()


@MODELS.register_module()
class BalancedBCELoss(nn.Module):
    """`balanced_bce` for decode heads with one output channel.

    Args:
        reduction: ``'mean'`` (default, comparable with the toolbox's losses) or ``'sum'`` (as HED
            published it; its learning rates of about 1e-6 belong to it).
        loss_weight: Factor.
        loss_name: In the logs; starts with ``loss_`` to take part in training.
    """

    def __init__(
        self,
        reduction: str = 'mean',
        loss_weight: float = 1.0,
        loss_name: str = 'loss_balanced_bce',
    ) -> None:
        super().__init__()
        check_one_of('reduction', reduction, ('mean', 'sum'))
        self.reduction = reduction
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(
        self, pred: Tensor, label: Tensor, weight: Tensor | None = None, ignore_index: int = 255
    ) -> Tensor:
        """The loss of logits (N, 1, H, W) against labels (N, H, W).

        Raises:
            ValueError: With pixel weights from a sampler, which this loss replaces.
        """
        if weight is not None:
            raise ValueError('BalancedBCELoss takes no pixel sampler; remove sampler from the head')
        return self.loss_weight * balanced_bce(pred, label, ignore_index, self.reduction)
