"""The front of one supernet, from its checkpoint to its files."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from mmengine.logging import print_log
from scipy.stats import spearmanr

from mmseg_sparsemask.connectivity import Connectivity, resolve
from mmseg_sparsemask.connectivity.budget import KINDS
from mmseg_sparsemask.connectivity.controls import like
from mmseg_sparsemask.connectivity.latency import LatencyTable
from mmseg_sparsemask.front.descent import (
    Cost,
    best_within,
    budgets_between,
    descend,
    improve,
)
from mmseg_sparsemask.front.images import held_back_images
from mmseg_sparsemask.front.points import Point, draw_front, validated, write_points, write_table
from mmseg_sparsemask.front.scorer import Scorer
from mmseg_sparsemask.models.connections import SampledConnections
from mmseg_sparsemask.models.decode_heads import FDNHead
from mmseg_sparsemask.search.record import Search
from mmseg_sparsemask.utils.commands import clock
from mmseg_sparsemask.utils.figures import save_figure
from mmseg_sparsemask.utils.tool_command import tool_command
from mmseg_sparsemask.utils.words import counted

#: Below this rank agreement of two halves of the images, scores mean little.
LEAST_AGREEMENT = 0.5


@dataclass(frozen=True)
class FrontSettings:
    """What is asked of a front.

    Attributes:
        cost: ``'parameters'``, ``'multiply_adds'`` or ``'latency'``.
        table: Latency table, for the latter.
        points: Budgets; none for `count` budgets at equal ratios.
        count: Their number then.
        images: Training images to score on.
        swaps: Swaps to score for each budget.
        controls: Random decoders with both costs of a point to score beside it.
        validate: Whether the points are validated, too.
    """

    cost: str = 'parameters'
    table: str | None = None
    points: Sequence[float] = ()
    count: int = 12
    images: int = 64
    swaps: int = 30
    controls: int = 0
    validate: bool = False


def find_front(search: Search, config: str | Path, folder: Path, settings: FrontSettings) -> str:
    """Find the front of a supernet and write it.

    Everything that was scored is noted in ``scores.jsonl``: a run that was stopped goes on there.

    Args:
        search: Its supernet.
        config: Config of the search, for its data and encoder.
        folder: An existing folder to write into.
        settings: What is asked of it.

    Returns:
        What people are told.

    Raises:
        ValueError: Data that is not there, costs of another head, a point out of reach.
    """
    images = held_back_images(search, config, settings.images, folder)
    head = search.head
    scorer = Scorer(head, images, folder / 'scores.jsonl')
    cost = _cost_of(head, images.size, settings)
    space = head.connectivity
    rule = head.connections
    ends = rule.ends if isinstance(rule, SampledConnections) else [space.end]
    if settings.cost == 'latency':
        ends = [space.end]  # a table has times of decoders with one end
    write = KINDS[settings.cost].format
    start = time.perf_counter()
    way = descend(scorer, space, cost, ends)
    low, high = min(map(cost, way)), cost(space)
    print(
        f'{counted(len(way), "decoder")} on the way down, {clock(time.perf_counter() - start)}',
        flush=True,
    )
    wanted = list(settings.points) or budgets_between(low, high, settings.count)
    for limit in wanted:
        if limit < low:
            raise ValueError(
                f'{write(limit)}: expected a point from {write(low)} to {write(high)}, the range '
                'of the front'
            )
    chosen: dict[Connectivity, float] = {}
    for place, limit in enumerate(wanted, 1):
        found = best_within(_losses(scorer), cost, limit)
        if found is None:
            continue
        found = improve(scorer, found, space, cost, limit, settings.swaps)
        chosen[found] = cost(found)
        spent = time.perf_counter() - start
        left = spent / place * (len(wanted) - place)
        print(
            f'within {write(limit)}: loss {scorer.loss(found):.4f} with {write(cost(found))}, '
            f'eta {clock(left)}',
            flush=True,
        )
    # What a later budget has found may be better and cheaper than what an earlier one has.
    losses = _losses(scorer)
    chosen = {
        graph: spent
        for graph, spent in sorted(chosen.items(), key=lambda item: item[1])
        if not any(losses[o] < losses[graph] and cost(o) <= spent for o in chosen)
    }
    points = write_points(search, scorer, list(chosen.items()), folder)
    points = [
        replace(
            point,
            random_loss=_random_loss(scorer, graph, settings.controls),
            val=validated(folder / point.folder) if settings.validate else None,
        )
        for point, graph in zip(points, chosen)
    ]
    write_table(points, folder)
    scored = [(cost(graph), loss) for graph, loss in losses.items()]
    unit = settings.cost.replace('_', '-').replace('latency', 'milliseconds')
    save_figure(draw_front(scored, points, unit), folder / 'front.svg')
    return told(points, scorer, folder)


def search_files(search: Path, config: Path | None) -> tuple[Path, Path]:
    """Checkpoint and config of a search.

    Args:
        search: Its work directory, whose last checkpoint counts, or a checkpoint.
        config: None for the one beside the checkpoint.

    Raises:
        ValueError: There is no checkpoint, or not one config.
    """
    checkpoint = search
    if search.is_dir():
        last = search / 'last_checkpoint'
        if not last.is_file():
            raise ValueError(f'{search}: expected the work directory of a search, with checkpoints')
        checkpoint = search / Path(last.read_text().strip()).name
    if config is not None:
        return checkpoint, config
    written = ('retrain', 'finetune')
    configs = [path for path in checkpoint.parent.glob('*.py') if path.stem not in written]
    if len(configs) != 1:
        raise ValueError(
            f'{checkpoint.parent}: expected one config there, got {len(configs)}; give --config'
        )
    return checkpoint, configs[0]


def told(points: Sequence[Point], scorer: Scorer, folder: Path) -> str:
    """A table of the points, how far scores can be trusted, and the commands that come next."""
    lines = [
        f'{point.folder}: {point.parameters:,} parameters, {point.multiply_adds:,} multiply-adds, '
        f'loss {point.loss:.4f}, mIoU {point.miou:.2f} on images held back'
        + ('' if point.random_loss is None else f'; random decoders: loss {point.random_loss:.4f}')
        + ('' if point.val is None else f'; {point.val:.2f} on val')
        for point in points
    ]
    first, last = zip(*scorer.losses.values())
    agreement = float(spearmanr(first, last).statistic) if len(first) > 2 else 0.0
    lines.append(f'rank agreement of two halves of the images: {agreement:.2f}')
    if agreement < LEAST_AGREEMENT:
        lines.append(
            'that is little: the scores say more about the images than about decoders; '
            'hold back more of them, or train the supernet longer'
        )
    last = folder / points[-1].folder
    tested = tool_command('test', last / 'finetune.py', last / 'pruned.pth')
    lines.append(f'test a point: {tested}')
    lines.append(f'train it further: {tool_command("train", last / "finetune.py")}')
    return '\n'.join(lines)


def _random_loss(scorer: Scorer, graph: Connectivity, controls: int) -> float | None:
    """Mean loss of other, random decoders with both costs of a point; None if there are none."""
    losses, shape = [], scorer.head.shape
    for seed in range(controls):
        try:
            drawn = resolve(like(graph, shape, seed, scorer.images.size), shape=shape)
        except ValueError as error:  # few or no others have such costs
            print_log(str(error), 'current')
            break
        if drawn != graph:
            losses.append(scorer.loss(drawn))
    return round(fmean(losses), 5) if losses else None


def _losses(scorer: Scorer) -> Mapping[Connectivity, float]:
    return {graph: sum(halves) / 2 for graph, halves in scorer.losses.items()}


def _cost_of(head: FDNHead, size: tuple[int, int], settings: FrontSettings) -> Cost:
    if settings.cost == 'latency':
        if settings.table is None:
            maker = tool_command('latency_table')
            raise ValueError(f'latency: expected a table of {maker} with --table')
        table = LatencyTable.load(settings.table)
        table.check(head.shape)
        return table.costs.total
    if settings.cost not in KINDS:
        raise ValueError(f'cost: expected one of {", ".join(KINDS)}, got {settings.cost!r}')
    known: dict[Connectivity, float] = {}

    def cost(graph: Connectivity) -> float:
        if graph not in known:
            known[graph] = getattr(head.shape.cost(graph, size), settings.cost)
        return known[graph]

    return cost
