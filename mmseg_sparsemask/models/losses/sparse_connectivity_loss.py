"""The loss that makes connection weights binary and sparse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_sparsemask.models.losses.ramp import check_ramp, ramp_factor
from mmseg_sparsemask.models.run_state import belongs_to_run


def cross_entropy(p: Tensor | float, q: Tensor) -> Tensor:
    """``H(p, q) = -p log q - (1-p) log(1-q)``, elementwise (SparseMask, Equation 2)."""
    return -p * torch.log(q) - (1 - p) * torch.log1p(-q)


@MODELS.register_module()
class SparseConnectivityLoss(nn.Module):
    """``L_s(w, alpha) = mean(H(w, w)) + H(alpha, mean(w))``, summed over stages (Equation 2).

    The first term is lowest where every weight is 0 or 1; the second pulls the mean weight of a
    stage to alpha, the share of its connections that is wanted: ``min(expected / n, max_share)``.

    Args:
        loss_weight: Lambda of the paper (0.01).
        expected: Wanted inputs of a stage (2).
        max_share: Upper bound of alpha (0.5).
        eps: Weights nearer than this to 0 or 1 have the loss and gradient of that distance, which
            are finite.
        ramp: Iterations (first, last): the loss is 0 up to the first and grows to its full weight
            at the last, so that deep stages have learned something before connections go. None is
            the paper: the full weight from the start.
        loss_name: In the logs, where the head has several losses; starts with ``loss_``.

    Raises:
        ValueError: An argument out of its range.
    """

    step: Tensor

    def __init__(
        self,
        loss_weight: float = 0.01,
        expected: float = 2.0,
        max_share: float = 0.5,
        eps: float = 1e-6,
        ramp: Sequence[int] | None = None,
        loss_name: str = 'loss_sparse_connectivity',
    ) -> None:
        super().__init__()
        if not loss_weight >= 0:
            raise ValueError(f'loss_weight: expected a number of at least 0, got {loss_weight}')
        if not expected > 0:
            raise ValueError(f'expected: expected a positive number of inputs, got {expected}')
        if not 0 < max_share < 1:
            raise ValueError(f'max_share: expected a number in (0, 1), got {max_share}')
        if not 0 < eps < 0.5:
            raise ValueError(f'eps: expected a number in (0, 0.5), got {eps}')
        self.loss_weight = loss_weight
        self.expected = expected
        self.max_share = max_share
        self.eps = eps
        self.loss_name = loss_name
        self.ramp = None if ramp is None else check_ramp(ramp)
        if self.ramp is not None:
            # In checkpoints, so that a resumed search goes on where it was.
            self.register_buffer('step', torch.zeros((), dtype=torch.int64))
            belongs_to_run(self, 'step')

    def forward(self, weights: Mapping[str, Tensor]) -> Tensor:
        """Scalar, in float32 or better.

        Args:
            weights: Connection weights in [0, 1] of each stage, (n_l,).
        """
        terms = []
        for stage_weights in weights.values():
            w = stage_weights if stage_weights.dtype == torch.float64 else stage_weights.float()
            # The gradient is the one at the bound: a weight at 0 is still pulled to 0.
            w = w + (w.clamp(self.eps, 1 - self.eps) - w).detach()
            alpha = min(self.expected / len(w), self.max_share)
            terms.append(cross_entropy(w, w).mean() + cross_entropy(alpha, w.mean()))
        return self.loss_weight * self._factor() * torch.stack(terms).sum()

    def _factor(self) -> float:
        """Share of the full weight at this iteration; in training, one iteration passes."""
        if self.ramp is None:
            return 1.0
        factor = ramp_factor(int(self.step), self.ramp)
        if self.training:
            self.step.add_(1)
        return factor
