"""Binary cross entropy that bears a batch without a label."""

from __future__ import annotations

from typing import Any

from mmseg.models.losses import CrossEntropyLoss
from mmseg.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class BinaryCrossEntropyLoss(CrossEntropyLoss):
    """Mean binary cross entropy over the labelled pixels, for heads with one output channel.

    Equals MMSegmentation's ``CrossEntropyLoss(use_sigmoid=True, avg_non_ignore=True)``, which
    ends in a RuntimeError where no pixel of a batch is labelled, as after cropping into padding.
    Here such a batch contributes 0.

    Args:
        loss_weight: Factor.
        loss_name: In the logs; starts with ``loss_`` to take part in training.
    """

    def __init__(self, loss_weight: float = 1.0, loss_name: str = 'loss_ce') -> None:
        super().__init__(
            use_sigmoid=True,
            avg_non_ignore=True,
            loss_weight=loss_weight,
            loss_name=loss_name,
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
