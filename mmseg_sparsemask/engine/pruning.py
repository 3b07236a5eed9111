"""From a trained supernet to files: what PruneHook and tools/prune.py share."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mmengine.config import Config
from mmengine.hooks import EMAHook
from mmengine.model import is_model_wrapper
from mmseg.registry import MODELS
from prettytable import PrettyTable
from torch import nn

from mmseg_sparsemask.connectivity import (
    Connection,
    Connectivity,
    decoder_cost,
    prune,
    from_dict,
    save,
    supernet_parameters,
    to_dict,
)
from mmseg_sparsemask.connectivity.draw import (
    draw_graph,
    draw_weight_history,
    draw_weights,
)
from mmseg_sparsemask.connectivity.prune import drop_unreachable, separation, threshold
from mmseg_sparsemask.models.decode_heads import FDNHead
from mmseg_sparsemask.utils.checkpoints import load_checkpoint
from mmseg_sparsemask.utils.derived_config import write_derived_config
from mmseg_sparsemask.utils.figures import save_figure

#: Where the history is kept in the message hub, and so in checkpoints.
HISTORY_KEY = 'connection_weight_history'

#: What a checkpoint holds for pruning, as plain data: see `describe_search`.
SEARCH_KEY = 'sparsemask_search'

#: Files that a search leaves.
RESULTS = ('connectivity.json', 'connectivity.svg', 'connection_weights.svg', 'retrain.py')


class Supernet(Protocol):
    """What pruning needs of a supernet: an `FDNHead`, or a `SavedSupernet`."""

    connectivity: Connectivity
    in_channels: Sequence[int]
    channels: int
    out_channels: int

    def connection_weights(self) -> dict[Connection, float]:
        """Weight in [0, 1] of every connection, finest stage first."""


@dataclass(frozen=True)
class SavedSupernet:
    """A supernet as a checkpoint describes it: sizes and connection weights, no network.

    Attributes:
        connectivity: The search space.
        in_channels: Channels of ``E1`` .. ``EL``.
        channels: Of the decoder.
        out_channels: Of the classifier.
        weights: Weight in [0, 1] of every connection, finest stage first.
    """

    connectivity: Connectivity
    in_channels: tuple[int, ...]
    channels: int
    out_channels: int
    weights: dict[Connection, float]

    def connection_weights(self) -> dict[Connection, float]:
        """Weight in [0, 1] of every connection, finest stage first."""
        return dict(self.weights)


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


def pruned_model(runner: Any) -> nn.Module:
    """The model of a running search whose connection weights count.

    That is the average over iterations if an ``EMAHook`` keeps one: validation scores it, and
    checkpoints hold it as their weights. Else it is the model that is trained.
    """
    for hook in runner.hooks:
        if isinstance(hook, EMAHook) and hasattr(hook, 'ema_model'):
            return hook.ema_model.module
    return runner.model


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
    head: Supernet,
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
    live = len(drop_unreachable(threshold(weights, value)))
    parameters = 0
    if live:
        connectivity = prune(weights, head.connectivity.strides, value, merge)
        live = len(connectivity)
        parameters = head_parameters(head, connectivity)
    return PruneStatus(live, len(weights), dropped, kept, parameters)


def head_parameters(head: Supernet, connectivity: Connectivity) -> int:
    """Parameters of the pruned decoder with a supernet's channels and classes."""
    cost = decoder_cost(connectivity, head.in_channels, head.channels, head.out_channels)
    return cost.parameters


def write_results(
    head: Supernet,
    out_dir: str | os.PathLike[str],
    value: float,
    merge: bool = False,
    history: WeightHistory | None = None,
    retrain_config: str | None = None,
    meta: Mapping[str, object] | None = None,
) -> tuple[Connectivity, list[Path]]:
    """Prune a supernet and write connectivity.json, both figures and retrain.py.

    Args:
        head: The supernet.
        out_dir: An existing folder.
        value: Threshold on the connection weights, in (0, 1).
        merge: See `connectivity.prune.prune`.
        history: Weights over the search; without it the figure shows the final weights.
        retrain_config: The config that retrain.py inherits; None writes no retrain.py.
        meta: Goes into connectivity.json.

    Returns:
        What was found, and the files that were written.

    Raises:
        ValueError: Nothing reaches ``D1``, or the weights are not numbers. No file is written then.
    """
    weights = head.connection_weights()
    meta = {'source': 'SparseMask search', 'threshold': value, 'merge': merge, **(meta or {})}
    connectivity = prune(weights, head.connectivity.strides, value, merge, meta)
    paths = [Path(out_dir) / name for name in RESULTS]
    graph_data, graph_figure, weights_figure, retrain = paths
    save(connectivity, graph_data)
    save_figure(draw_graph(connectivity), graph_figure)
    if history is not None and history.steps:
        figure = draw_weight_history(history.steps, history.weights, list(weights))
    else:
        figure = draw_weights(weights)
    save_figure(figure, weights_figure)
    if retrain_config is None:
        return connectivity, paths[:-1]
    write_derived_config(
        retrain,
        retrain_config,
        retrain_settings(connectivity),
        'The pruned decoder, to train from scratch. Written at the end of the search.',
    )
    return connectivity, paths


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


def summary_table(head: Supernet, connectivity: Connectivity) -> str:
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


def next_steps(paths: Sequence[Path]) -> str:
    """What was written where, and the command that comes next."""
    lines = [f'written to {paths[0].parent}: {", ".join(path.name for path in paths)}']
    lines += [
        f'retrain with: python tools/train.py {path}' for path in paths if path.name == 'retrain.py'
    ]
    return '\n'.join(lines)


@dataclass
class SavedSearch:
    """A supernet's decoder as a checkpoint has it.

    Attributes:
        head: The supernet, without its encoder.
        history: Weights up to the checkpoint; empty if PruneHook did not run.
        hook: ``threshold``, ``merge`` and ``retrain_config`` of the PruneHook of that search;
            empty if there was none.
        iteration: Of the checkpoint.
    """

    head: Supernet
    history: WeightHistory
    hook: dict[str, Any]
    iteration: int


def describe_search(head: Supernet, hook: Mapping[str, Any]) -> dict[str, Any]:
    """What `load_search` needs, in plain Python types: sizes, connection weights, settings.

    Args:
        head: The supernet.
        hook: Settings of the PruneHook.
    """
    graph = to_dict(head.connectivity)
    return {
        'connectivity': {key: graph[key] for key in ('strides', 'stages')},
        'in_channels': [int(count) for count in head.in_channels],
        'channels': int(head.channels),
        'out_channels': int(head.out_channels),
        'weights': [[*connection, w] for connection, w in head.connection_weights().items()],
        'hook': dict(hook),
    }


def load_search(
    path: str | os.PathLike[str], config: str | None = None, trust: bool = False
) -> SavedSearch:
    """Read the supernet of a checkpoint. Needs neither data nor the encoder, and runs nothing.

    Args:
        path: Checkpoint of a search.
        config: The search's config file, for a checkpoint of a search without PruneHook, or one
            that was written before checkpoints described their search. It is run, as configs are.
        trust: See `utils.checkpoints.load_checkpoint`.

    Raises:
        ValueError: Not a checkpoint, no supernet in it, or no description and no config.
    """
    checkpoint = load_checkpoint(path, trust)
    meta = checkpoint.get('meta', {})
    info = checkpoint.get('message_hub', {}).get('runtime_info', {})
    history = info.get(HISTORY_KEY, {})
    state = checkpoint.get('state_dict', {})
    prefix = 'decode_head.'
    if not any(key.startswith(f'{prefix}connections.') for key in state):
        raise ValueError(
            f'{path}: holds no supernet (no {prefix}connections.* among its {len(state)} '
            'parameters); expected a checkpoint of a search, that is of a model with an FDNHead'
        )
    if config is not None:
        cfg = Config.fromfile(config)
        head: Supernet = _build_head(path, cfg, state, prefix)
        hooks = [hook for hook in cfg.get('custom_hooks', []) if hook.get('type') == 'PruneHook']
        hook = dict(hooks[0]) if hooks else {}
    elif SEARCH_KEY in meta:
        head, hook = _read_description(path, meta[SEARCH_KEY])
    else:
        raise ValueError(
            f'{path}: does not describe its search; give the config of the search with --config'
        )
    return SavedSearch(
        head,
        WeightHistory(list(history.get('steps', [])), list(history.get('weights', []))),
        hook,
        int(meta.get('iter', 0)),
    )


def _build_head(
    path: str | os.PathLike[str], cfg: Config, state: Mapping[str, Any], prefix: str
) -> FDNHead:
    head = MODELS.build(cfg.model.decode_head)
    own = {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
    try:
        head.load_state_dict(own)
    except RuntimeError as error:
        raise ValueError(f'{path}: does not fit the config: {error}') from None
    return find_supernet(head)


def _read_description(
    path: str | os.PathLike[str], data: Any
) -> tuple[SavedSupernet, dict[str, Any]]:
    try:
        supernet = SavedSupernet(
            from_dict(data['connectivity']),
            tuple(int(count) for count in data['in_channels']),
            int(data['channels']),
            int(data['out_channels']),
            {Connection(source, stage): float(w) for source, stage, w in data['weights']},
        )
        if set(supernet.weights) != set(supernet.connectivity):
            raise ValueError('the weights are not those of the connections')
        return supernet, dict(data['hook'])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f'{path}: the description of the search is damaged ({error}); give the config of the '
            'search with --config'
        ) from None
