"""What a search with a budget adds to the log, the visualiser and the results."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from matplotlib.figure import Figure

from mmseg_sparsemask.connectivity import Connectivity
from mmseg_sparsemask.connectivity.budget import Budget, fit_budgets
from mmseg_sparsemask.connectivity.draw import draw_cost_history
from mmseg_sparsemask.deployment.latency import time_again
from mmseg_sparsemask.models.decode_heads import FDNHead
from mmseg_sparsemask.models.losses.build import budget_losses
from mmseg_sparsemask.search.record import Search


def check_budgets(head: FDNHead, threshold: float) -> None:
    """Make sure that a search can end within its budgets.

    Args:
        head: The supernet, before the search.
        threshold: On the connection weights, of `PruneHook`.

    Raises:
        ValueError: A loss counts with another threshold; or the budgets exclude each other.
    """
    for loss in budget_losses(head.loss_connectivity):
        if loss.threshold != threshold:
            raise ValueError(
                f'threshold: BudgetLoss counts weights from {loss.threshold} on, PruneHook from '
                f'{threshold} on; give both the same'
            )
    fit_budgets(head.connection_weights(), head.budgets, threshold)


def log_budgets(runner: Any, head: FDNHead, threshold: float) -> None:
    """Cost if pruned now, budget and multiplier, to the log and the visualiser.

    Args:
        runner: The toolbox's.
        head: The supernet.
        threshold: On the connection weights.
    """
    for loss in budget_losses(head.loss_connectivity):
        budget = loss.budget
        cost = budget.costs.total(fit_budgets(head.connection_weights(), [], threshold))
        scalars = {'cost': cost, 'budget': budget.limit, 'lambda': float(loss.multiplier)}
        for name, value in scalars.items():
            runner.message_hub.update_scalar(f'train/{loss.kind}_{name}', value)
        runner.logger.info(
            f'budget: {budget.write(cost)} if pruned now, {budget.write(budget.limit)} wanted '
            f'({budget.write(loss.target)} by now), lambda {float(loss.multiplier):.3g}'
        )


def budget_files(head: FDNHead) -> dict[str, Budget]:
    """The figure of each budget: ``budget.svg``, or ``budget_KIND.svg`` if there are several."""
    one = len(head.budgets) == 1
    return {'budget.svg' if one else f'budget_{b.kind}.svg': b for b in head.budgets}


def draw_budget(search: Search, budget: Budget) -> Figure:
    """Cost of the decoder that pruning would have given, over the search."""
    connections, threshold = list(search.head.connection_weights()), search.settings.threshold
    costs = [
        budget.costs.total(fit_budgets(dict(zip(connections, record)), [], threshold))
        for record in search.history.weights
    ]
    label = 'milliseconds' if budget.kind == 'latency' else budget.kind.replace('_', '-')
    return draw_cost_history(search.history.steps, costs, budget.limit, label)


def budget_lines(head: FDNHead, connectivity: Connectivity) -> Iterator[str]:
    """What a found decoder costs of each budget; a latency is measured beside its prediction."""
    for loss in budget_losses(head.loss_connectivity):
        budget = loss.budget
        cost = budget.costs.total(connectivity)
        line = f'budget: {budget.write(cost)} of {budget.write(budget.limit)}'
        line += f' ({cost / budget.limit:.1%})'
        yield line if loss.table is None else f'{line}, {time_again(loss.table, connectivity)}'
