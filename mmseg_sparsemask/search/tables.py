"""What people are shown at the end of a search: tables, figures, the page, the next commands."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from prettytable import PrettyTable

from mmseg_sparsemask.connectivity import Connection, Connectivity
from mmseg_sparsemask.connectivity.draw import draw_weight_history, draw_weights
from mmseg_sparsemask.models.decode_heads import FDNHead
from mmseg_sparsemask.report import FrontRecord, SearchRecord, Step
from mmseg_sparsemask.search.record import Search
from mmseg_sparsemask.utils.tool_command import tool_command

#: Larger differences of logits, relative to the largest, are no rounding.
EXACT = 1e-4

#: Multiply-adds are counted for an image of this size, as in the paper's tables.
IMAGE_SIZE = (512, 512)


def summary_table(head: FDNHead, connectivity: Connectivity) -> str:
    """Table of the stages left, their inputs and parameters."""
    cost, weights = head.shape.cost(connectivity), head.connection_weights()
    table = PrettyTable(['stage', 'stride', 'inputs (weight)', 'parameters'], align='l')
    table.align['parameters'] = 'r'
    for stage, sources in connectivity.stages.items():
        inputs = [f'{s} ({weights.get(Connection(s, stage), float("nan")):.2f})' for s in sources]
        lines = [' '.join(inputs[i : i + 6]) for i in range(0, len(inputs), 6)]
        stride = connectivity.stride_of(stage)
        table.add_row([stage, stride, '\n'.join(lines), f'{cost.stage_parameters[stage]:,}'])
    table.add_row(['classifier', '', '', f'{cost.stage_parameters["classifier"]:,}'])
    return (
        f'{table}\n{len(connectivity)} of {len(head.connectivity)} connections, '
        f'{cost.parameters:,} decoder parameters '
        f'(supernet: {head.shape.cost(head.connectivity).parameters:,})'
    )


def comparison_table(search: Search, connectivity: Connectivity, difference: float) -> str:
    """Supernet and pruned decoder side by side, and how far apart they are.

    Args:
        search: With the scores of both, if they were validated.
        connectivity: What is left of the supernet.
        difference: From `largest_difference`.
    """
    before, after = search.compared or ({}, {})
    names = [name for name in after if name in before]
    table = PrettyTable(['decoder, same weights', 'connections', 'parameters', *names], align='r')
    table.align['decoder, same weights'] = 'l'
    full = search.head.connectivity
    for name, graph, scores in (('supernet', full, before), ('pruned', connectivity, after)):
        parameters = f'{search.head.shape.cost(graph).parameters:,}'
        table.add_row([name, len(graph), parameters, *(f'{scores[key]:.2f}' for key in names)])
    text = (
        f'{table}\ntheir logits on random features differ by at most {difference:.1e} of the '
        'largest'
    )
    if difference > EXACT:
        text += ': weights above 0 were dropped or stages merged, so the decoders are not equal'
    return text


def nothing_pruned(search: Search, connectivity: Connectivity) -> str | None:
    """Advice if a search kept its whole search space; else None."""
    if len(connectivity) < len(search.head.connectivity):
        return None
    weights = search.head.connection_weights().values()
    return (
        f'nothing was pruned: all {len(connectivity)} connections are left, with weights from '
        f'{min(weights):.3g} to {max(weights):.3g} and none below the threshold '
        f'{search.settings.threshold:g}. Train longer, raise the loss_weight of loss_connectivity, '
        'raise connections_lr (ConnectionsOptimWrapperConstructor), or ask for a size with '
        "loss_connectivity=dict(type='BudgetLoss', budget=dict(parameters=...))"
    )


def draw_connection_weights(search: Search, connectivity: Connectivity) -> Figure:
    """The weights over the search, or those of its end where no others are known."""
    history, weights = search.history, search.head.connection_weights()
    if len(history.steps) == 1:
        return draw_weights(weights, kept=connectivity)
    return draw_weight_history(history.steps, history.weights, list(weights), kept=connectivity)


def search_record(
    search: Search,
    connectivity: Connectivity,
    commands: Sequence[Step],
    front: FrontRecord | None = None,
) -> SearchRecord:
    """What the page of a search shows; of the scores, only those named like the last one."""
    head, settings = search.head, search.settings
    name = search.scores[-1][1] if search.scores else 'score'
    return SearchRecord(
        name=search.title,
        connectivity=connectivity,
        strides=head.connectivity.strides,
        connections=list(head.connection_weights()),
        steps=search.history.steps,
        weights=search.history.weights,
        threshold=settings.threshold,
        merge=settings.merge,
        costs=head.shape.part_costs(head.connectivity, IMAGE_SIZE),
        image_size=IMAGE_SIZE,
        budgets={budget.kind: budget.limit for budget in head.budgets},
        scores=[(step, value) for step, key, value in search.scores if key == name],
        score_name=name,
        commands=commands,
        front=front,
    )


def steps_after(out_dir: str | os.PathLike[str], names: Sequence[str]) -> list[Step]:
    """What can be done next with the files that were written."""
    folder, steps = Path(out_dir), []
    if 'finetune.py' in names:
        tested = tool_command('test', folder / 'finetune.py', folder / 'pruned.pth')
        steps.append(Step(tested, 'test as it is'))
        steps.append(Step(tool_command('train', folder / 'finetune.py'), 'train further'))
    if 'retrain.py' in names:
        steps.append(Step(tool_command('train', folder / 'retrain.py'), 'or from scratch'))
    return steps
