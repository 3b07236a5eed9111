"""A supernet whose parts are scored and cost something."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from mmengine.logging import print_log
from scipy.stats import spearmanr

from mmseg_sparsemask.compare.sizes import multiply_adds
from mmseg_sparsemask.connectivity import Connectivity, resolve
from mmseg_sparsemask.connectivity.budget import KINDS
from mmseg_sparsemask.connectivity.controls import like
from mmseg_sparsemask.connectivity.latency import LatencyTable
from mmseg_sparsemask.front.descent import best_within, descend, improve, part_of
from mmseg_sparsemask.front.images import held_back_images, network_of
from mmseg_sparsemask.front.rerank import QUIET, ShortTrainings, settings_of
from mmseg_sparsemask.front.scorer import Scorer
from mmseg_sparsemask.models.connections import SampledConnections
from mmseg_sparsemask.search.record import Search
from mmseg_sparsemask.utils.commands import clock
from mmseg_sparsemask.utils.repeatable import fingerprint_key, weights_digest
from mmseg_sparsemask.utils.tool_command import tool_command
from mmseg_sparsemask.utils.words import counted

#: Below this rank agreement of two halves of the images, scores mean little.
LEAST_AGREEMENT = 0.5

#: Decoders whose costs are within this ratio are of like cost; their least number to compare them.
LIKE_COST, LEAST_DECODERS = 2.0, 8

#: How many of the decoders within a budget are trained for a while, those of least loss, and which
#: decoders that are drawn by hand.
PROMISING, BY_HAND = 8, ('segformer', 'flat', 'unet')


@dataclass(frozen=True)
class FrontSettings:
    """What is asked of a front.

    Attributes:
        cost: ``'parameters'``, ``'multiply_adds'`` or ``'latency'``.
        points: Budgets; none for `count` decoders far from each other.
        count: Their number then.
        images: Training images to score on.
        swaps: Swaps to score for each budget.
        controls: Random decoders with both costs of a point, to score beside it.
        validate: Whether the points are validated, too.
        whole: Whether the encoder counts, as it must where supernets have different ones.
        why: Validation images on which to measure what each connection is worth; 0 for none.
        rerank: Iterations of a short training that decoders are ranked by; 0 for inherited weights.
    """

    cost: str = 'parameters'
    points: Sequence[float] = ()
    count: int = 12
    images: int = 64
    swaps: int = 30
    controls: int = 0
    validate: bool = False
    whole: bool = False
    why: int = 0
    rerank: int = 0


class Source(NamedTuple):
    """Where a supernet comes from.

    Attributes:
        search: Its record.
        config: The search's config, for its data and encoder.
        folder: An existing folder for what is computed with it, and for its decoders.
        table: Latency table of its decoders, if there is one.
    """

    search: Search
    config: str | Path
    folder: Path
    table: str | None = None


class Supernet:
    """A supernet with its images, scores and costs.

    Args:
        source: Where it comes from.
        settings: What is asked of its front.

    Raises:
        ValueError: Data that is not there, costs of another head, weights that are not numbers.
    """

    def __init__(self, source: Source, settings: FrontSettings) -> None:
        if settings.cost not in KINDS:
            raise ValueError(f'cost: expected one of {", ".join(KINDS)}, got {settings.cost!r}')
        if settings.cost == 'latency' and source.table is None:
            maker = tool_command('latency_table')
            raise ValueError(f'latency: expected a table of {maker} with --table')
        self.search, config, self.folder, table = source
        self.settings, self.name = settings, Path(config).stem
        self.head = head = source.search.head
        self.table = None if table is None else LatencyTable.load(table)
        if self.table is not None:
            self.table.check(head.connectivity, head.shape)
        self.network = network_of(source.search, source.config)
        # The description of a search in a checkpoint does not say it.
        own: Any = self.network.model.get_submodule(source.search.prefix.rstrip('.'))
        head.ignore_index = own.ignore_index
        images = held_back_images(self.network, settings.images, source.folder)
        key = fingerprint_key({'of': [weights_digest(head), images.key, settings_of(head)]})
        self.scorer = Scorer(head, images, source.folder / f'scores_{key}.jsonl')
        self.encoder_multiply_adds = self._encoder_multiply_adds()
        self._extra = self._cost_of_encoder() if settings.whole else 0.0
        self._costs: dict[Connectivity, float] = {}
        self.write = KINDS[settings.cost].format
        rule, end = head.connections, head.connectivity.end
        #: Stages that decoders may end at; a latency table has times of decoders with one end.
        self.ends = rule.ends if isinstance(rule, SampledConnections) else [end]
        if settings.cost == 'latency':
            self.ends = [end]

    @property
    def space(self) -> Connectivity:
        """Its search space."""
        return self.head.connectivity

    @property
    def losses(self) -> dict[Connectivity, float]:
        """Loss of every decoder that was asked for, with inherited weights."""
        return {graph: fmean(halves) for graph, halves in self.scorer.losses.items()}

    @property
    def ranks(self) -> dict[Connectivity, float]:
        """The losses that decoders are ranked by: after a short training, if that is asked for."""
        return dict(self.trainings.losses) if self.settings.rerank else self.losses

    @functools.cached_property
    def trainings(self) -> ShortTrainings:
        """The short trainings of its decoders."""
        images, folder = self.scorer.images, self.folder
        return ShortTrainings(self.network, self.head, images, self.settings.rerank, folder)

    def cost(self, graph: Connectivity) -> float:
        """What a decoder costs, in the unit that was asked for; with others, the whole network."""
        return self._decoder_cost(graph) + self._extra

    def _decoder_cost(self, graph: Connectivity) -> float:
        if graph not in self._costs:
            if self.settings.cost == 'latency' and self.table is not None:
                found = self.table.costs.total(graph)
            else:
                size = self.scorer.images.size
                found = getattr(self.head.shape.cost(graph, size), self.settings.cost)
            self._costs[graph] = found
        return self._costs[graph]

    def milliseconds(self, graph: Connectivity) -> float | None:
        """Time of a decoder by the latency table; None without one, or at another end than its."""
        if self.table is None or graph.end != self.space.end:
            return None
        return round(self.table.costs.total(graph), 3)

    def descend(self) -> float:
        """Score the ways down to each end, and each connection alone; return the least cost."""
        start = said = time.perf_counter()
        starts = list(filter(None, (part_of(self.space, self.space, end) for end in self.ends)))
        way: list[Connectivity] = []

        def work(graph: Connectivity) -> int:
            size = self.scorer.images.size
            return len(graph) * self.head.shape.cost(graph, size).multiply_adds

        total = later = sum(map(work, starts))

        def tick(graph: Connectivity) -> None:
            nonlocal said
            if (now := time.perf_counter()) - said > QUIET:
                said, left = now, work(graph) + later
                eta = clock((now - start) * left / max(total - left, 1))
                print(
                    f'{self.name}: {counted(len(graph), "connection")} to {graph.end} left, eta '
                    f'{eta}',
                    flush=True,
                )

        for whole in starts:
            later -= work(whole)
            # Alone or with others, the ways down are the same.
            way += descend(self.scorer, whole, self._decoder_cost, tick)
        spent = clock(time.perf_counter() - start)
        print(f'{self.name}: {counted(len(way), "decoder")} on the ways down, {spent}', flush=True)
        alone = [
            Connectivity(self.space.strides, {stage: [source]})
            for source, stage in self.space
            if stage in self.ends and source[0] != 'D'
        ]
        for graph in alone:
            self.scorer.loss(graph)
        return min(map(self.cost, [*way, *alone]))

    def improve(self, limits: Sequence[float]) -> None:
        """Score swaps within each limit."""
        start = time.perf_counter()
        for place, limit in enumerate(limits, 1):
            found = best_within(self.losses, self.cost, limit)
            if found is None:
                continue
            found = improve(self.scorer, found, self.space, self.cost, limit, self.settings.swaps)
            left = (time.perf_counter() - start) / place * (len(limits) - place)
            print(
                f'{self.name}: within {self.write(limit)}: loss {self.scorer.loss(found):.4f} with '
                f'{self.write(self.cost(found))}, eta {clock(left)}',
                flush=True,
            )

    def rerank(self, limits: Sequence[float]) -> None:
        """Train promising decoders within each limit for a while, and swaps of the best."""
        promising = {limit: list(self._promising(limit)) for limit in limits}
        left = sum(len(graphs) + self.settings.swaps for graphs in promising.values())
        self.trainings.expected = left
        for limit, graphs in promising.items():
            losses = {graph: self.trainings.loss(graph) for graph in graphs}
            best = best_within(losses, self.cost, limit)
            if best is None:
                continue
            best = improve(self.trainings, best, self.space, self.cost, limit, self.settings.swaps)
            print(
                f'{self.name}: within {self.write(limit)}: loss {self.trainings.loss(best):.4f} '
                f'after {self.settings.rerank} iterations with {self.write(self.cost(best))}',
                flush=True,
            )

    def _promising(self, limit: float) -> Iterator[Connectivity]:
        """Decoders within a limit that are worth a short training."""
        losses = self.losses
        within = [graph for graph in losses if self.cost(graph) <= limit]
        yield from sorted(within, key=lambda graph: (losses[graph], str(graph)))[:PROMISING]
        for name in BY_HAND:
            try:
                graph = resolve(name, shape=self.head.shape)
            except ValueError:  # these features have too few levels for it
                continue
            if set(graph) <= set(self.space) and graph.end in self.ends:
                if self.cost(graph) <= limit:
                    yield graph

    def random_loss(self, graph: Connectivity) -> float | None:
        """Mean loss of other, random decoders with both costs of one; None if there are none."""
        loss = self.trainings.loss if self.settings.rerank else self.scorer.loss
        found, shape = [], self.head.shape
        for seed in range(self.settings.controls):
            try:
                drawn = like(graph, shape, seed, self.scorer.images.size)
                drawn = resolve(drawn, shape=shape)
            except ValueError as error:  # few or no others have such costs
                print_log(str(error), 'current')
                break
            if drawn != graph:
                found.append(loss(drawn))
        return round(fmean(found), 5) if found else None

    def doubts(self) -> list[str]:
        """How far its scores can be trusted, in lines; the first is a number."""
        halves = self.scorer.losses
        agreement = rank_agreement(halves, {graph: self.cost(graph) for graph in halves})
        lines = [f'rank agreement of two halves of the images: {agreement:.2f}']
        if agreement < LEAST_AGREEMENT:
            lines.append(
                'that is little: the scores say more about the images than about decoders; '
                'hold back more of them, or train the supernet longer'
            )
        full, chance = self.scorer.loss(self.space), self.scorer.chance()
        if full > 0.9 * chance:
            lines.append(
                f'the full network has loss {full:.3f}, and to name the share of each class has '
                f'{chance:.3f}: the supernet has learned too little for its scores to mean much; '
                'train it longer'
            )
        return lines

    def _encoder_multiply_adds(self) -> int | None:
        try:
            return multiply_adds(self.network.model, self.scorer.images.size)[0]
        except Exception as error:  # noqa: BLE001 an encoder of any kind; a front can do without
            print_log(f"the encoder's multiply-adds cannot be counted: {error}", 'current')
            return None

    def _cost_of_encoder(self) -> float:
        kind, found = self.settings.cost, None
        if kind == 'latency' and self.table is not None:
            found = self.table.encoder
        elif kind == 'multiply_adds':
            found = self.encoder_multiply_adds
        if found is None:
            raise ValueError(
                f'{self.name}: expected to know the {kind.replace("_", "-")} of the encoder, too; '
                'join supernets by multiply_adds, or by latency with tables that '
                f'{tool_command("latency_table")} has written anew'
            )
        return found


def rank_agreement(
    halves: Mapping[Connectivity, tuple[float, float]], costs: Mapping[Connectivity, float]
) -> float:
    """Rank agreement (Spearman) of two halves of the images among decoders of like cost.

    Large decoders beat small ones on any images. So decoders count in groups within a ratio of
    `LIKE_COST`, each group by its size; all of them in one where no group is large enough.

    Args:
        halves: Loss of each decoder on both halves.
        costs: What each costs.

    Returns:
        -1 to 1; 0 for fewer than three decoders, or losses that are all equal.
    """
    groups: list[list[Connectivity]] = []
    for graph in sorted(halves, key=lambda g: costs[g]):
        if groups and costs[graph] <= LIKE_COST * costs[groups[-1][0]]:
            groups[-1].append(graph)
        else:
            groups.append([graph])
    groups = [group for group in groups if len(group) >= LEAST_DECODERS] or [list(halves)]
    found = [_spearman([halves[graph] for graph in group]) for group in groups]
    total = sum(map(len, groups))
    return sum(rho * len(group) for rho, group in zip(found, groups)) / max(total, 1)


def _spearman(pairs: Sequence[tuple[float, float]]) -> float:
    first, last = zip(*pairs) if pairs else ((), ())
    if len(pairs) < 3 or len(set(first)) < 2 or len(set(last)) < 2:
        return 0.0
    return float(spearmanr(first, last).statistic)
