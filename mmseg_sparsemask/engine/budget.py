"""What a search with a budget adds to the log, the visualiser and the results."""

from __future__ import annotations

from mmseg_sparsemask.connectivity.budget import Budget
from mmseg_sparsemask.models.decode_heads import FDNHead
from mmseg_sparsemask.models.losses.build import budget_losses


def budgets_of(head: FDNHead) -> list[Budget]:
    """The budgets that the losses of a supernet ask for."""
    return [loss.budget for loss in budget_losses(head.loss_connectivity)]
