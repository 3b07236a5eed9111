"""What a search with a budget adds to the log, the visualiser and the results."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mmseg_sparsemask.connectivity import Connectivity
from mmseg_sparsemask.connectivity.budget import fit_budgets
from mmseg_sparsemask.connectivity.draw import draw_cost_history
from mmseg_sparsemask.deployment.latency import time_again
from mmseg_sparsemask.models.decode_heads import FDNHead
from mmseg_sparsemask.models.losses.build import budget_losses
from mmseg_sparsemask.search.pruning import WeightHistory
from mmseg_sparsemask.utils.figures import save_figure


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


def write_budget_figures(
    head: FDNHead, out_dir: str | os.PathLike[str], threshold: float, history: WeightHistory
) -> list[Path]:
    """Draw the cost of the decoder over the search: ``budget.svg``.

    Args:
        head: The supernet.
        out_dir: An existing folder.
        threshold: On the connection weights.
        history: The weights over the search.

    Returns:
        The files written: none without a budget; ``budget_KIND.svg`` each if there are several.
    """
    budgets = head.budgets
    connections = list(head.connection_weights())
    paths = []
    for budget in budgets if history.steps else ():
        costs = [
            budget.costs.total(fit_budgets(dict(zip(connections, record)), [], threshold))
            for record in history.weights
        ]
        name = 'budget.svg' if len(budgets) == 1 else f'budget_{budget.kind}.svg'
        label = 'milliseconds' if budget.kind == 'latency' else budget.kind.replace('_', '-')
        paths.append(Path(out_dir) / name)
        save_figure(draw_cost_history(history.steps, costs, budget.limit, label), paths[-1])
    return paths


def budget_table(head: FDNHead, connectivity: Connectivity) -> str:
    """What a found decoder costs of each budget; a latency is measured beside its prediction.

    Args:
        head: The supernet.
        connectivity: What is left of it.

    Returns:
        A line for each budget, each with its line break.
    """
    lines = ''
    for loss in budget_losses(head.loss_connectivity):
        budget = loss.budget
        cost = budget.costs.total(connectivity)
        line = f'budget: {budget.write(cost)} of {budget.write(budget.limit)}'
        line += f' ({cost / budget.limit:.1%})'
        if loss.table is not None:
            line += f', {time_again(loss.table, connectivity)}'
        lines += f'{line}\n'
    return lines
