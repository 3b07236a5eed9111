"""From a trained supernet to files: what PruneHook and tools/prune.py share."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmengine.hooks import EMAHook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from prettytable import PrettyTable
from torch import nn

from mmseg_sparsemask.connectivity import (
    Connection,
    Connectivity,
    prune,
    save,
)
from mmseg_sparsemask.connectivity.budget import prune_to_budgets
from mmseg_sparsemask.connectivity.draw import (
    draw_graph,
    draw_weight_history,
    draw_weights,
)
from mmseg_sparsemask.connectivity.prune import drop_unreachable, keep_above, separation
from mmseg_sparsemask.models.decode_heads import FDNHead
from mmseg_sparsemask.search.inherited_files import write_finetune, write_retrain
from mmseg_sparsemask.utils.figures import save_figure

#: Larger differences of logits, relative to the largest, are no rounding.
EXACT = 1e-4

#: Where the history is kept in the message hub, and so in checkpoints.
HISTORY_KEY = 'connection_weight_history'

#: Files that a search leaves.
RESULTS = (
    'connectivity.json',
    'connectivity.svg',
    'connection_weights.svg',
    'retrain.py',
    'finetune.py',
    'pruned.pth',
    'report.html',
)


@dataclass
class WeightHistory:
    """Connection weights over a search.

    Attributes:
        steps: Training iterations, ascending.
        weights: For each, the weight in [0, 1] of every connection, in the order of
            `FDNHead.connection_weights`.
    """

    steps: list[int] = field(default_factory=list)
    weights: list[list[float]] = field(default_factory=list)

    def add(self, step: int, weights: Mapping[Connection, float]) -> None:
        """Append a record; one of the same step is replaced."""
        if self.steps and self.steps[-1] == step:
            self.steps.pop()
            self.weights.pop()
        self.steps.append(step)
        self.weights.append(list(weights.values()))


@dataclass(frozen=True)
class PruneStatus:
    """What pruning now would give.

    Attributes:
        live: Connections left after thresholding and reachability.
        total: Connections of the supernet.
        largest_dropped: Largest weight below the threshold.
        smallest_kept: Smallest weight above it.
        parameters: Decoder parameters left; 0 when no connection reaches ``D1``.
    """

    live: int
    total: int
    largest_dropped: float
    smallest_kept: float
    parameters: int

    def separated(self, factor: float) -> bool:
        """Whether the smallest kept weight is at least `factor` times the largest dropped one.

        Never when nothing is dropped, or nothing would be left.
        """
        return 0 < self.live < self.total and self.smallest_kept >= factor * self.largest_dropped


def find_supernet(model: nn.Module) -> FDNHead:
    """The FDNHead of a model.

    Raises:
        ValueError: There is none.
    """
    if is_model_wrapper(model):
        model = model.module
    for module in model.modules():
        if isinstance(module, FDNHead):
            return module
    head = type(getattr(model, 'decode_head', model)).__name__
    raise ValueError(
        f"nothing to prune: expected a model whose decode_head is of type 'FDNHead', got {head}"
    )


def searched_model(runner: Runner) -> nn.Module:
    """The model whose weights a search is about: the averaged one if the run has an `EMAHook`.

    That is the one that is validated and that checkpoints hold under ``state_dict``.
    """
    for hook in runner.hooks:
        if isinstance(hook, EMAHook):
            return hook.ema_model.module
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def prune_status(
    head: FDNHead,
    threshold: float,
    merge: bool,
    weights: Mapping[Connection, float] | None = None,
) -> PruneStatus:
    """What pruning a supernet now would give.

    Args:
        head: The supernet.
        threshold: On the connection weights, in (0, 1).
        merge: See `connectivity.prune.prune`.
        weights: Weights of another moment of the search, instead of the present ones.

    Raises:
        ValueError: A weight is not a number, or the threshold is not in (0, 1).
    """
    if weights is None:
        weights = head.connection_weights()
    dropped, kept = separation(weights, threshold)
    live = len(drop_unreachable(keep_above(weights, threshold)))
    parameters = 0
    if live:
        connectivity = prune(weights, head.connectivity.strides, threshold, merge)
        live = len(connectivity)
        parameters = head.shape.cost(connectivity).parameters
    return PruneStatus(live, len(weights), dropped, kept, parameters)


def prune_supernet(
    head: FDNHead, threshold: float, merge: bool, meta: Mapping[str, object] | None = None
) -> Connectivity:
    """What is left of a supernet, within its budgets; says in its `meta` how it came about.

    Args:
        head: The supernet.
        threshold: On the connection weights, in (0, 1).
        merge: See `connectivity.prune.prune`.
        meta: Goes into connectivity.json, too.

    Raises:
        ValueError: Nothing reaches ``D1``, or the weights are not numbers.
    """
    meta = {'source': 'SparseMask search', 'threshold': threshold, 'merge': merge, **(meta or {})}
    weights, strides = head.connection_weights(), head.connectivity.strides
    return prune_to_budgets(weights, strides, head.budgets, threshold, merge, meta)


def write_graph(
    head: FDNHead,
    connectivity: Connectivity,
    out_dir: str | os.PathLike[str],
    history: WeightHistory | None = None,
) -> list[Path]:
    """Write connectivity.json and both figures.

    Args:
        head: The supernet.
        connectivity: What is left of it.
        out_dir: An existing folder.
        history: Weights over the search; without it the figure shows the final weights.

    Returns:
        The files written.
    """
    weights = head.connection_weights()
    names = ('connectivity.json', 'connectivity.svg', 'connection_weights.svg')
    paths = [Path(out_dir) / name for name in names]
    save(connectivity, paths[0])
    save_figure(draw_graph(connectivity), paths[1])
    if history is not None and history.steps:
        figure = draw_weight_history(
            history.steps, history.weights, list(weights), kept=connectivity
        )
    else:
        figure = draw_weights(weights, kept=connectivity)
    save_figure(figure, paths[2])
    return paths


def write_configs(
    connectivity: Connectivity,
    out_dir: str | os.PathLike[str],
    retrain_config: str | None,
    finetune_config: str | None = None,
) -> list[Path]:
    """Write retrain.py and finetune.py, each if there is a config for it to inherit.

    Args:
        connectivity: The pruned decoder.
        out_dir: An existing folder.
        retrain_config: The config that retrain.py inherits, and finetune.py with less of its
            schedule.
        finetune_config: The config that finetune.py inherits instead.

    Returns:
        The files written.
    """
    retrain, finetune = Path(out_dir) / 'retrain.py', Path(out_dir) / 'finetune.py'
    written = []
    if retrain_config is not None:
        write_retrain(retrain, connectivity, retrain_config)
        written.append(retrain)
    if retrain_config is not None or finetune_config is not None:
        write_finetune(finetune, connectivity, retrain_config, finetune_config)
        written.append(finetune)
    return written


def summary_table(head: FDNHead, connectivity: Connectivity) -> str:
    """Table of the stages left, their inputs and parameters, for people."""
    cost = head.shape.cost(connectivity)
    weights = head.connection_weights()
    table = PrettyTable(['stage', 'stride', 'inputs (weight)', 'parameters'])
    table.align = 'l'
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


def inheritance_table(
    head: FDNHead,
    connectivity: Connectivity,
    difference: float,
    scores: Sequence[Mapping[str, float]] = (),
) -> str:
    """Supernet and pruned decoder side by side, and how far apart they are.

    Args:
        head: The supernet.
        connectivity: What is left of it.
        difference: From `largest_difference`.
        scores: Validation scores of the supernet and of the pruned decoder, if there are any.
    """
    names = list(scores[0]) if scores else []
    table = PrettyTable(['decoder, same weights', 'connections', 'parameters', *names])
    table.align = 'r'
    table.align['decoder, same weights'] = 'l'
    graphs = {'supernet': head.connectivity, 'pruned': connectivity}
    for place, (name, graph) in enumerate(graphs.items()):
        found = [f'{scores[place][key]:.2f}' for key in names]
        table.add_row([name, len(graph), f'{head.shape.cost(graph).parameters:,}', *found])
    text = (
        f'{table}\ntheir logits on random features differ by at most {difference:.1e} of the '
        'largest'
    )
    if difference > EXACT:
        text += ': weights above 0 were dropped or stages merged, so the decoders are not equal'
    return text


def command_steps(out_dir: str | os.PathLike[str], files: Sequence[Path]) -> list[tuple[str, str]]:
    """(what it does, command) of what can be done next with the files that were written."""
    names = {path.name for path in files}
    retrain, finetune, pruned = (
        shlex.quote(str(Path(out_dir) / name))
        for name in ('retrain.py', 'finetune.py', 'pruned.pth')
    )
    steps = []
    if {'finetune.py', 'pruned.pth'} <= names:
        steps.append(('test as it is', f'python tools/test.py {finetune} {pruned}'))
        steps.append(('train further', f'python tools/train.py {finetune}'))
    if 'retrain.py' in names:
        steps.append(('or from scratch', f'python tools/train.py {retrain}'))
    return steps


def next_steps(out_dir: str | os.PathLike[str], files: Sequence[Path]) -> str:
    """What was written where, and the commands that come next."""
    lines = [f'written to {out_dir}: {", ".join(path.name for path in files)}']
    lines += [f'{why}: {command}' for why, command in command_steps(out_dir, files)]
    return '\n'.join(lines)
