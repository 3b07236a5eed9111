"""The L1 penalty, which SparseMask compares its loss with."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class L1ConnectivityLoss(nn.Module):
    """``mean(|w|)`` of each stage, summed over stages (SparseMask, Table 1, "L1").

    Mean and sum as in `SparseConnectivityLoss`, so that a `loss_weight` pulls about as hard there
    as here.

    Args:
        loss_weight: Factor.
        loss_name: In the logs, where the head has several losses; starts with ``loss_``.

    Raises:
        ValueError: loss_weight negative.
    """

    def __init__(self, loss_weight: float = 0.01, loss_name: str = 'loss_l1_connectivity') -> None:
        super().__init__()
        if not loss_weight >= 0:
            raise ValueError(f'loss_weight: expected a number of at least 0, got {loss_weight}')
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(self, weights: Mapping[str, Tensor]) -> Tensor:
        """Scalar, in float32 or better.

        Args:
            weights: Connection weights in [0, 1] of each stage, (n_l,).
        """
        # Weights are never negative. Without abs(), whose gradient at 0 is 0, a weight at 0 is
        # still held there.
        means = [w.to(torch.promote_types(w.dtype, torch.float32)).mean() for w in weights.values()]
        return self.loss_weight * torch.stack(means).sum()
