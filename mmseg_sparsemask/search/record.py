"""A search as one record: what pruning it and writing its results need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from mmengine.logging import MessageHub
from mmengine.runner import Runner
from torch import Tensor

from mmseg_sparsemask.connectivity import Connection, Connectivity
from mmseg_sparsemask.connectivity.budget import prune_to_budgets
from mmseg_sparsemask.connectivity.io import ConnectivityLike, resolve
from mmseg_sparsemask.connectivity.prune import DEFAULT_THRESHOLD
from mmseg_sparsemask.models.decode_heads import FDNHead
from mmseg_sparsemask.search.supernet import (
    PruneStatus,
    prune_status,
    supernet_name,
)
from mmseg_sparsemask.utils.runner import trained_model

#: Where the weights over the search and the scores of its validations are kept in the message hub,
#: and so in checkpoints. A name there that begins with train, val or test would be printed whole
#: in each line of the log.
HISTORY_KEY, SCORES_KEY = 'connection_weight_history', 'scores_over_the_search'


@dataclass(frozen=True)
class PruneSettings:
    """Settings of a `PruneHook` that say how a search ends.

    Args:
        threshold: Sigma: connections of smaller weight are dropped. In (0, 1).
        merge: Also merge stages with equal inputs and drop subsumed ones.
        retrain_config: Config that retrain.py inherits; None writes no retrain.py.
        finetune_config: Config that finetune.py inherits with its schedule as it is; None takes the
            retrain config and a part of its schedule.

    Raises:
        ValueError: The threshold is not in (0, 1).
    """

    threshold: float = DEFAULT_THRESHOLD
    merge: bool = False
    retrain_config: str | None = None
    finetune_config: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise ValueError(f'threshold: expected a number in (0, 1), got {self.threshold}')


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

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> WeightHistory:
        """The history in a message hub's ``runtime_info``; empty if there is none."""
        saved = info.get(HISTORY_KEY) or {'steps': (), 'weights': ()}
        rows = [[float(weight) for weight in row] for row in saved['weights']]
        return cls([int(step) for step in saved['steps']], rows)

    def add(self, step: int, weights: Mapping[Connection, float]) -> None:
        """Append a record; one of the same step is replaced."""
        if self.steps and self.steps[-1] == step:
            self.steps.pop()
            self.weights.pop()
        self.steps.append(step)
        self.weights.append(list(weights.values()))

    def save(self, hub: MessageHub) -> None:
        """Keep it in a message hub, and so in checkpoints."""
        hub.update_info(HISTORY_KEY, asdict(self))


@dataclass
class Search:
    """A search, from a run or from a checkpoint.

    Attributes:
        head: The supernet.
        state: State of the network, without the names of modules around it.
        prefix: Where the supernet is in it, usually ``decode_head.``.
        title: Its name, for people.
        meta: Plain values on where it comes from, for connectivity.json; with its ``iteration``.
        dataset_meta: Classes and colours, if they are known.
        history: Weights over the search, the present ones last.
        scores: (iteration, name, value) of its validations.
        settings: How it is pruned.
        compared: Validation scores of the supernet and of the pruned network, if there are any.
    """

    head: FDNHead
    state: Mapping[str, Tensor]
    prefix: str
    title: str
    meta: dict[str, Any]
    dataset_meta: Mapping[str, Any] | None
    history: WeightHistory
    scores: list[tuple[int, str, float]]
    settings: PruneSettings
    compared: tuple[Mapping[str, float], Mapping[str, float]] | None = None

    def __post_init__(self) -> None:
        # What stands around the segmentor is not part of it.
        places = [self.prefix.find(head) for head in ('decode_head', 'auxiliary_head')]
        outer = self.prefix[: max(0, *places)]
        inner = {k[len(outer) :]: v for k, v in self.state.items() if k.startswith(outer)}
        self.state, self.prefix = inner, self.prefix[len(outer) :]
        weights = self.head.connection_weights()
        self.history.add(self.meta['iteration'], weights)
        sizes = {len(row) for row in self.history.weights}
        if sizes != {len(weights)} or len(self.history.steps) != len(self.history.weights):
            raise ValueError(f'history: expected {len(weights)} weights a step, got {sizes}')

    @classmethod
    def of_run(cls, runner: Runner, settings: PruneSettings) -> Search:
        """The search that a runner has trained; with an `EMAHook`, its averaged weights."""
        model, info = trained_model(runner), runner.message_hub.runtime_info
        name = supernet_name(model)
        return cls(
            head=model.get_submodule(name),  # type: ignore[arg-type]
            state=model.state_dict(),
            prefix=f'{name}.' if name else '',
            title=runner.experiment_name,
            meta={'experiment': runner.experiment_name, 'iteration': runner.iter},
            dataset_meta=getattr(runner.train_dataloader.dataset, 'metainfo', None),
            history=WeightHistory.of(info),
            scores=list(info.get(SCORES_KEY, ())),
            settings=settings,
        )

    @property
    def is_scored(self) -> bool:
        """Whether a validation scores the supernet, not a head beside it."""
        return self.prefix in ('', 'decode_head.')

    def status(self) -> PruneStatus:
        """What its threshold leaves, budgets aside."""
        return prune_status(self.head, self.settings.threshold, self.settings.merge)

    def prune(self) -> Connectivity:
        """What is left of the supernet, within its budgets; says in its `meta` how it came about.

        Raises:
            ValueError: Nothing reaches the end, or the weights are not numbers.
        """
        threshold, merge = self.settings.threshold, self.settings.merge
        meta = {'source': 'SparseMask search', 'threshold': threshold, 'merge': merge, **self.meta}
        weights, strides = self.head.connection_weights(), self.head.connectivity.strides
        return prune_to_budgets(weights, strides, self.head.budgets, threshold, merge, meta)

    def cut(self, spec: ConnectivityLike) -> Connectivity:
        """A decoder that the user chooses, of connections that the supernet has.

        Args:
            spec: See `connectivity.io.resolve`.

        Raises:
            ValueError: It has a connection that the supernet lacks, or other strides.
        """
        space = self.head.connectivity
        wanted = resolve(spec, space.strides)
        if missing := [str(c) for c in wanted.connections if c not in space.connections]:
            raise ValueError(
                f'connectivity: expected connections of the supernet, got {", ".join(missing)}'
            )
        return wanted

    def with_head(self, head: FDNHead, title: str) -> Search:
        """The record of another supernet in place of this one, without a history."""
        return replace(self, head=head, title=title, history=WeightHistory(), scores=[])
