"""The front of one supernet or several, from their checkpoints to its files."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mmseg_sparsemask.compare.steps import last_checkpoint
from mmseg_sparsemask.connectivity import Connectivity
from mmseg_sparsemask.front.descent import best_within, budgets_between, spread, unbeaten
from mmseg_sparsemask.front.pages import write_pages
from mmseg_sparsemask.front.points import draw_front, validated, write_point
from mmseg_sparsemask.front.supernet import FrontSettings, Source, Supernet
from mmseg_sparsemask.front.why import explain_all, validator_of
from mmseg_sparsemask.search.front_table import Point, write_table
from mmseg_sparsemask.search.record import Search
from mmseg_sparsemask.utils.checkpoints import LAST_CHECKPOINT
from mmseg_sparsemask.utils.commands import clock
from mmseg_sparsemask.utils.figures import save_figure

#: How far from the best loss to that of naming the share of each class a point may be, as a share.
USEFUL = 0.25

#: A decoder, and the place of its supernet among those that were given.
Decoder = tuple[int, Connectivity]


def find_fronts(sources: Sequence[Source], folder: Path, settings: FrontSettings) -> str:
    """Find the front of a supernet, or of several together, and write it.

    Everything that was scored is noted: a run that was stopped goes on there.

    Args:
        sources: The supernets, with a folder each. Several must have been trained for the same
            classes, and are joined by what the whole network costs.
        folder: An existing folder for the table, picture and page of the front.
        settings: What is asked of it.

    Returns:
        What people are told.

    Raises:
        ValueError: Data that is not there, costs of another head, a point out of reach, supernets
            that cannot be compared.
    """
    if len(sources) > 1:
        settings = replace(settings, whole=True)
    supernets = [Supernet(source, settings) for source in sources]
    _check_alike(supernets)
    validators = [validator_of(supernet) for supernet in supernets]
    lows = [supernet.descend() for supernet in supernets]
    write, wanted = supernets[0].write, list(settings.points)
    low, high = min(lows), max(supernet.cost(supernet.space) for supernet in supernets)
    for limit in wanted:
        if limit < low:
            raise ValueError(
                f'{write(limit)}: expected a point from {write(low)} to {write(high)}, the range '
                'of the front'
            )
    for supernet, least in zip(supernets, lows):
        most = supernet.cost(supernet.space)
        limits = wanted or budgets_between(least, most, settings.count)
        supernet.improve(limits)
        if settings.rerank:
            supernet.rerank(limits)
    chosen, scored = _chosen(supernets, settings)
    decoders = [(supernets[place], graph) for place, graph in chosen]
    start, points = time.perf_counter(), []
    for supernet, graph in decoders:
        point = write_point(supernet, graph, folder)
        val = validated(folder / point.folder) if settings.validate else None
        trained = round(supernet.trainings.loss(graph), 5) if settings.rerank else None
        random_loss = supernet.random_loss(graph)
        points.append(replace(point, trained_loss=trained, random_loss=random_loss, val=val))
        left = (time.perf_counter() - start) / len(points) * (len(decoders) - len(points))
        print(f'{len(points)} of {len(decoders)} points written, eta {clock(left)}', flush=True)
    write_table(points, folder)
    unit = settings.cost.replace('_', '-').replace('latency', 'milliseconds')
    save_figure(draw_front(scored, points, unit), folder / 'front.svg')
    doubts = [
        f'{s.name}: {line}' if sources[1:] else line for s in supernets for line in s.doubts()
    ]
    worth = explain_all([(validators[place], graph) for place, graph in chosen])
    shown = [(*decoder, point, why) for decoder, point, why in zip(decoders, points, worth)]
    write_pages(shown, unit, doubts, folder)
    return told(points, doubts, folder)


def _check_alike(supernets: Sequence[Supernet]) -> None:
    """Make sure that the scores of supernets can be compared.

    Raises:
        ValueError: They differ in their classes, or their times were measured differently.
    """
    known = {
        (s.head.num_classes, tuple((s.search.dataset_meta or {}).get('classes', ())))
        for s in supernets
    }
    if len(known) > 1:
        raise ValueError(
            'expected supernets of the same classes, got '
            + ', '.join(f'{s.name} with {s.head.num_classes}' for s in supernets)
        )
    sizes = {s.scorer.images.size for s in supernets}
    if len(sizes) > 1:
        raise ValueError(
            f'expected supernets that are scored on images of one size, got {sorted(sizes)}: '
            'neither losses nor multiply-adds of others can be compared'
        )
    tables = [s.table for s in supernets if s.settings.cost == 'latency' and s.table]
    where = {(t.device, t.threads, t.meta.get('processor'), t.image_size) for t in tables}
    if len(where) > 1:
        raise ValueError(
            'expected latency tables of one machine and size of images, got '
            f'{sorted(map(str, where))}'
        )


def _chosen(
    supernets: Sequence[Supernet], settings: FrontSettings
) -> tuple[list[Decoder], list[tuple[float, float]]]:
    """The decoders of the front, the cheapest first, and (cost, loss) of all that was scored.

    A decoder whose short training diverged has no place in either.

    Raises:
        ValueError: All of them diverged.
    """
    losses = {
        (place, graph): loss
        for place, supernet in enumerate(supernets)
        for graph, loss in supernet.ranks.items()
        if math.isfinite(loss)
    }
    if not losses:
        raise ValueError(
            'every short training diverged, so there is nothing to rank by; leave out --rerank'
        )

    def cost(decoder: Decoder) -> float:
        return supernets[decoder[0]].cost(decoder[1])

    if settings.points:
        best = [best_within(losses, cost, limit) for limit in sorted(settings.points)]
        chosen = list(dict.fromkeys(decoder for decoder in best if decoder is not None))
    else:
        front = unbeaten(losses, cost)
        # However little it costs, what has learned little more than the share of each class is of
        # no use.
        chance = max(supernet.scorer.chance() for supernet in supernets)
        limit = USEFUL * chance + (1 - USEFUL) * min(losses.values())
        useful = [decoder for decoder in front if losses[decoder] < limit]
        enough = useful if len(useful) >= settings.count else front
        chosen = spread(enough, losses, cost, settings.count)
    return chosen, [(cost(decoder), loss) for decoder, loss in losses.items()]


def with_statistics(source: Source, graph: Connectivity) -> Search:
    """The record of a supernet with the statistics of a part of it, and all else cut.

    The running statistics of a supernet that trains a part of itself in each pass fit none of its
    parts.

    Args:
        source: The supernet.
        graph: The part: see `Search.cut`.

    Raises:
        ValueError: Data that is not there.
    """
    scorer = Supernet(source, FrontSettings()).scorer
    loss, miou = scorer.loss(graph), scorer.miou(graph)
    print(f'loss {loss:.4f}, mIoU {miou:.2f} on images held back')
    return replace(source.search, head=scorer.with_statistics(graph))


def search_files(search: str | Path, config: str | Path | None) -> tuple[Path, Path]:
    """Checkpoint and config of a search.

    Args:
        search: Its work directory, whose last checkpoint counts, or a checkpoint.
        config: None for the one beside the checkpoint.

    Raises:
        ValueError: There is no checkpoint, or not one config.
    """
    checkpoint = Path(search)
    if checkpoint.is_dir():
        if not (checkpoint / LAST_CHECKPOINT).is_file():
            raise ValueError(f'{search}: expected the work directory of a search, with checkpoints')
        checkpoint = last_checkpoint(checkpoint)
    elif not checkpoint.is_file():
        raise ValueError(
            f'{search}: does not exist; expected the work directory of a search, or a checkpoint'
        )
    if config is not None:
        if not Path(config).is_file():
            raise ValueError(f'--config: {config} does not exist')
        return checkpoint, Path(config)
    written = ('retrain', 'finetune')
    configs = [path for path in checkpoint.parent.glob('*.py') if path.stem not in written]
    if len(configs) != 1:
        raise ValueError(
            f'{checkpoint.parent}: expected one config there, got {len(configs)}; give --config'
        )
    return checkpoint, configs[0]


def told(points: Sequence[Point], doubts: Sequence[str], folder: Path) -> str:
    """A line for each point, how far scores can be trusted, and the commands that come next."""
    lines = [
        f'{point.folder}: {point.parameters:,} parameters, {point.multiply_adds:,} multiply-adds, '
        + ('' if point.milliseconds is None else f'{point.milliseconds:.2f} ms, ')
        + f'loss {point.loss:.4f}, mIoU {point.miou:.2f} on images held back'
        + ('' if point.trained_loss is None else f'; {point.trained_loss:.4f} after a training')
        + ('' if point.random_loss is None else f'; random decoders: loss {point.random_loss:.4f}')
        + ('' if point.val is None else f'; {point.val:.2f} on val')
        for point in points
    ]
    lines += doubts
    lines.append(f'look at the front: {folder / "report.html"}')
    return '\n'.join([*lines, *(f'{s.purpose}: {s.command}' for s in points[-1].steps(folder))])
