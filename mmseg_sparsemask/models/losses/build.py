"""The losses on connection weights of a supernet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mmseg.registry import MODELS
from torch import nn

from mmseg_sparsemask.connectivity import Connectivity, DecoderShape
from mmseg_sparsemask.models.losses.budget_loss import BudgetLoss


def build_connectivity_losses(
    config: dict[str, Any] | Sequence[dict[str, Any]] | None,
    connectivity: Connectivity,
    shape: DecoderShape,
) -> nn.Module | None:
    """The loss of a config, a ModuleList of those of a list, or None.

    A loss with a method `set_costs` is told what the parts of the search space cost.

    Args:
        config: Config of one loss, or of several.
        connectivity: The search space.
        shape: Shape of the supernet.

    Raises:
        ValueError: Two budgets of one kind, an empty list, or what a loss itself refuses.
    """
    if config is None:
        return None
    if isinstance(config, dict):
        losses = MODELS.build(config)
    else:
        losses = nn.ModuleList(MODELS.build(one) for one in config)
        if not len(losses):
            raise ValueError('loss_connectivity: expected at least one loss in the list, or None')
    kinds = [loss.kind for loss in budget_losses(losses)]
    for kind in kinds:
        if kinds.count(kind) > 1:
            raise ValueError(
                f'loss_connectivity: {kinds.count(kind)} budgets of {kind}, expected one of a '
                'kind; keep the smaller'
            )
    for loss in losses if isinstance(losses, nn.ModuleList) else [losses]:
        if set_costs := getattr(loss, 'set_costs', None):
            set_costs(connectivity, shape)
    return losses


def budget_losses(losses: nn.Module | None) -> Iterator[BudgetLoss]:
    """The budgets among the losses of a supernet."""
    if losses is not None:
        yield from (loss for loss in losses.modules() if isinstance(loss, BudgetLoss))
