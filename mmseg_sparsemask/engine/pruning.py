"""From a trained supernet to files: what PruneHook and tools/prune.py share."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import is_model_wrapper
from mmseg.registry import MODELS
from prettytable import PrettyTable
from torch import nn

from mmseg_sparsemask.connectivity import (
    Connection,
    Connectivity,
    decoder_cost,
    prune,
    save,
    supernet_parameters,
)
from mmseg_sparsemask.connectivity.budget import prune_to_budgets
from mmseg_sparsemask.connectivity.draw import (
    draw_graph,
    draw_weight_history,
    draw_weights,
)
from mmseg_sparsemask.connectivity.prune import drop_unreachable, keep_above, separation
from mmseg_sparsemask.engine.budget import budgets_of
from mmseg_sparsemask.models.decode_heads import FDNHead
from mmseg_sparsemask.utils.derived_config import write_derived_config
from mmseg_sparsemask.utils.figures import save_figure
from mmseg_sparsemask.utils.toolbox import allow_checkpoint_types

#: Where the history is kept in the message hub, and so in checkpoints.
HISTORY_KEY = 'connection_weight_history'


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


def prune_status(
    head: FDNHead,
    value: float,
    merge: bool,
    weights: Mapping[Connection, float] | None = None,
) -> PruneStatus:
    """What pruning a supernet now would give.

    Args:
        head: The supernet.
        value: Threshold on the connection weights, in (0, 1).
        merge: See `connectivity.prune.prune`.
        weights: Weights of another moment of the search, instead of the present ones.

    Raises:
        ValueError: A weight is not a number, or the threshold is not in (0, 1).
    """
    if weights is None:
        weights = head.connection_weights()
    dropped, kept = separation(weights, value)
    live = len(drop_unreachable(keep_above(weights, value)))
    parameters = 0
    if live:
        connectivity = prune(weights, head.connectivity.strides, value, merge)
        live = len(connectivity)
        parameters = head_parameters(head, connectivity)
    return PruneStatus(live, len(weights), dropped, kept, parameters)


def head_parameters(head: FDNHead, connectivity: Connectivity) -> int:
    """Parameters of the pruned decoder with a supernet's channels and classes."""
    cost = decoder_cost(connectivity, head.in_channels, head.channels, head.out_channels)
    return cost.parameters


def write_results(
    head: FDNHead,
    out_dir: str | os.PathLike[str],
    value: float,
    merge: bool = False,
    history: WeightHistory | None = None,
    retrain_config: str | None = None,
    meta: Mapping[str, object] | None = None,
) -> Connectivity:
    """Prune a supernet and write connectivity.json, both figures and retrain.py.

    Args:
        head: The supernet.
        out_dir: An existing folder.
        value: Threshold on the connection weights, in (0, 1).
        merge: See `connectivity.prune.prune`.
        history: Weights over the search; without it the figure shows the final weights.
        retrain_config: The config that retrain.py inherits; None writes no retrain.py.
        meta: Goes into connectivity.json.

    Raises:
        ValueError: Nothing reaches ``D1``, or the weights are not numbers. No file is written then.
    """
    weights = head.connection_weights()
    meta = {'source': 'SparseMask search', 'threshold': value, 'merge': merge, **(meta or {})}
    connectivity = prune_to_budgets(
        weights, head.connectivity.strides, budgets_of(head), value, merge, meta
    )
    out = Path(out_dir)
    save(connectivity, out / 'connectivity.json')
    save_figure(draw_graph(connectivity), out / 'connectivity.svg')
    if history is not None and history.steps:
        figure = draw_weight_history(history.steps, history.weights, list(weights))
    else:
        figure = draw_weights(weights)
    save_figure(figure, out / 'connection_weights.svg')
    if retrain_config is not None:
        write_derived_config(
            out / 'retrain.py',
            retrain_config,
            retrain_settings(connectivity),
            'The pruned decoder, to train from scratch. Written at the end of the search.',
        )
    return connectivity


def retrain_settings(connectivity: Connectivity) -> str:
    """The lines of retrain.py that fill in the connectivity."""
    stages = ''.join(
        f'                {stage}={list(sources)!r},\n'
        for stage, sources in connectivity.stages.items()
    )
    return (
        "work_dir = '{{ fileDirname }}/retrain'\n"
        'model = dict(\n'
        '    decode_head=dict(\n'
        '        connectivity=dict(\n'
        '            _delete_=True,\n'
        f'            strides={list(connectivity.strides)!r},\n'
        '            stages=dict(\n'
        f'{stages}'
        '            ),\n'
        '        ),\n'
        '    ),\n'
        ')\n'
    )


def summary_table(head: FDNHead, connectivity: Connectivity) -> str:
    """Table of the stages left, their inputs and parameters, for people."""
    cost = decoder_cost(connectivity, head.in_channels, head.channels, head.out_channels)
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
    before = supernet_parameters(
        head.connectivity, head.in_channels, head.channels, head.out_channels
    )
    return (
        f'{table}\n{len(connectivity)} of {len(head.connectivity)} connections, '
        f'{cost.parameters:,} decoder parameters (supernet: {before:,})'
    )


def next_steps(out_dir: str | os.PathLike[str], files: Sequence[str]) -> str:
    """What was written where, and the command that comes next."""
    lines = [f'written to {out_dir}: {", ".join(files)}']
    if 'retrain.py' in files:
        lines.append(f'retrain with: python tools/train.py {Path(out_dir) / "retrain.py"}')
    return '\n'.join(lines)


@dataclass
class SavedSearch:
    """A supernet's decoder as a checkpoint has it.

    Attributes:
        head: The supernet, without its encoder.
        history: Weights up to the checkpoint; empty if PruneHook did not run.
        hook: Settings of the PruneHook of that search; empty if there was none.
        iteration: Of the checkpoint.
    """

    head: FDNHead
    history: WeightHistory
    hook: dict[str, Any]
    iteration: int


def load_search(path: str | os.PathLike[str], config: str | None = None) -> SavedSearch:
    """Read the supernet of a checkpoint. Needs neither data nor the encoder.

    Args:
        path: Checkpoint of a search.
        config: The search's config file, for a checkpoint that does not hold it.

    Raises:
        ValueError: Not a checkpoint, no supernet in it, or no config.
    """
    # Once the toolbox has loaded a checkpoint, it takes the types it allowed for that back.
    allow_checkpoint_types()
    try:
        checkpoint = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:
        raise ValueError(f'{path}: cannot be read as a checkpoint ({error})') from None
    state = checkpoint.get('state_dict', {}) if isinstance(checkpoint, dict) else {}
    prefix = 'decode_head.'
    if not any(key.startswith(f'{prefix}connections.') for key in state):
        raise ValueError(
            f'{path}: holds no supernet (no {prefix}connections.* among its {len(state)} '
            'parameters); expected a checkpoint of a search, that is of a model with an FDNHead'
        )
    meta = checkpoint.get('meta', {})
    if config is None and 'cfg' not in meta:
        raise ValueError(f'{path}: holds no config; give the one of the search with --config')
    cfg = Config.fromfile(config) if config else Config.fromstring(meta['cfg'], '.py')
    head = MODELS.build(cfg.model.decode_head)
    own = {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
    try:
        head.load_state_dict(own)
    except RuntimeError as error:
        raise ValueError(f'{path}: does not fit the config: {error}') from None
    info = checkpoint.get('message_hub', {}).get('runtime_info', {})
    history = info.get(HISTORY_KEY, {})
    hooks = [hook for hook in cfg.get('custom_hooks', []) if hook.get('type') == 'PruneHook']
    return SavedSearch(
        head,
        WeightHistory(list(history.get('steps', [])), list(history.get('weights', []))),
        dict(hooks[0]) if hooks else {},
        int(meta.get('iter', 0)),
    )
