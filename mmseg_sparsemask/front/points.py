"""What is written of a front: a table, a picture, and a folder for each point."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.runner import Runner

from mmseg_sparsemask.connectivity import Connectivity, save
from mmseg_sparsemask.connectivity.draw import draw_graph
from mmseg_sparsemask.front.scorer import Scorer
from mmseg_sparsemask.models.inheritance import pruned_head
from mmseg_sparsemask.search.derived import write_finetune, write_retrain
from mmseg_sparsemask.search.pruned_file import largest_difference, write_pruned
from mmseg_sparsemask.search.record import Search
from mmseg_sparsemask.search.validation import main_score
from mmseg_sparsemask.utils.figures import new_figure, save_figure
from mmseg_sparsemask.utils.files import csv_text, write_atomically
from mmseg_sparsemask.utils.tool_command import tool_command

TABLE = 'front.csv'


@dataclass(frozen=True)
class Point:
    """A decoder of a front, as a row of its table.

    Attributes:
        folder: Beside the table; there are its files.
        connections: Their number.
        end: The stage that feeds the classifier.
        parameters: Parameters of the decoder.
        multiply_adds: Multiply-adds of the decoder, for one image of the size it was scored on.
        cost: In the unit that the front was asked for.
        loss: On the images held back, with inherited weights.
        miou: On the same images, in percent.
        connectivity: The graph.
        random_loss: Mean loss of random decoders with both costs, if they were scored.
        val: Validation score of ``pruned.pth``, if it was validated.
    """

    folder: str
    connections: int
    end: str
    parameters: int
    multiply_adds: int
    cost: float
    loss: float
    miou: float
    connectivity: str
    random_loss: float | None = None
    val: float | None = None


def write_points(
    search: Search, scorer: Scorer, chosen: Sequence[tuple[Connectivity, float]], folder: Path
) -> list[Point]:
    """Write the points of a front.

    Args:
        search: Whose supernet it is.
        scorer: Scorer of that supernet.
        chosen: Decoders with their costs, the cheapest first.
        folder: An existing folder.

    Raises:
        ValueError: A file cannot be written.
    """
    points = []
    for graph, cost in chosen:
        counted = search.head.shape.cost(graph, scorer.images.size)
        name = f'{len(graph):02d}connections_{counted.parameters}'
        loss, miou = scorer.loss(graph), scorer.miou(graph)
        known = {'source': 'front', 'supernet': search.title, 'held_back_loss': loss}
        write_point(search, scorer, Connectivity(graph.strides, graph.stages, known), folder / name)
        points.append(
            Point(
                name,
                len(graph),
                graph.end,
                counted.parameters,
                counted.multiply_adds,
                cost,
                round(loss, 5),
                round(miou, 2),
                str(graph),
            )
        )
    return points


def write_table(points: Sequence[Point], folder: Path) -> None:
    """Write ``front.csv``, whole or not at all."""
    header = [item.name for item in fields(Point)]
    rows = [asdict(point).values() for point in points]
    write_atomically(folder / TABLE, csv_text(header, rows))


def validated(folder: Path) -> float | None:
    """Validation score of a point with the supernet's weights; None without a validation.

    Args:
        folder: Folder of the point, with ``finetune.py`` and ``pruned.pth``.
    """
    if not (folder / 'finetune.py').is_file():
        return None
    cfg = Config.fromfile(folder / 'finetune.py')
    if cfg.get('val_dataloader') is None:
        return None
    cfg.load_from, cfg.work_dir = str(folder / 'pruned.pth'), str(folder / 'val')
    cfg.experiment_name = cfg.visualizer.name = f'{folder.resolve()}'.replace('/', '_')
    cfg.launcher, cfg.log_level = 'none', 'WARNING'
    scores = dict(main_score(Runner.from_cfg(cfg).val()))
    return round(next(iter(scores.values())), 2) if scores else None


def write_point(search: Search, scorer: Scorer, graph: Connectivity, folder: Path) -> None:
    """Write ``connectivity.json``, a picture, ``pruned.pth``, ``finetune.py`` and ``retrain.py``.

    Args:
        search: Whose supernet it is.
        scorer: Gives the statistics of the decoder.
        graph: The decoder.
        folder: Is made.

    Raises:
        ValueError: A file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    head = scorer.with_statistics(graph)
    pruned = pruned_head(head, graph)
    with head.cut_to(graph):
        difference = largest_difference(head, pruned)
    write_pruned(folder / 'pruned.pth', search, pruned, difference)
    save(graph, folder / 'connectivity.json')
    save_figure(draw_graph(graph), folder / 'connectivity.svg')
    if search.settings.retrain_config:
        write_retrain(folder / 'retrain.py', graph, search.settings)
    if search.settings.retrain_config or search.settings.finetune_config:
        write_finetune(folder / 'finetune.py', head, graph, search.settings)


def read_points(folder: str | os.PathLike[str]) -> list[Point]:
    """The table of a front.

    Raises:
        ValueError: There is none, or something else.
    """
    path = Path(folder) / TABLE
    try:
        rows = list(csv.DictReader(path.read_text(encoding='utf-8').splitlines()))
        return [
            Point(**{f.name: _KINDS[f.type](row[f.name]) for f in fields(Point)}) for row in rows
        ]
    except OSError:
        maker = tool_command('front')
        raise ValueError(f'{path}: there is no front; {maker} makes one') from None
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f'{path}: expected the table of a front ({error!r})') from None


_KINDS = {
    'str': str,
    'int': int,
    'float': float,
    'float | None': lambda text: float(text) if text else None,
}


def pick(points: Sequence[Point], kind: str, limit: float) -> Point:
    """The point of least loss within a budget.

    Args:
        points: Points of a front.
        kind: ``'parameters'``, ``'multiply_adds'`` or ``'cost'``.
        limit: The most it may cost.

    Raises:
        ValueError: None is within the budget; the message names the range.
    """
    costs = [getattr(point, kind) for point in points]
    within = [point for point, cost in zip(points, costs) if cost <= limit]
    if not within:
        raise ValueError(
            f'{kind}={limit:,.0f}: expected at least {min(costs):,.0f}, the cheapest of the front '
            f'(the most expensive has {max(costs):,.0f})'
        )
    return min(within, key=lambda point: point.loss)


def picked(search: str, budget: str, front: Path | None = None) -> str:
    """What is told of the point that a budget picks from the front of a search.

    Args:
        search: Work directory, or a checkpoint in it.
        budget: ``'parameters=150000'``.
        front: Folder of the front; None for ``front`` in the work directory.

    Raises:
        ValueError: No front, no such budget, or no point within it.
    """
    kind, _, limit = budget.partition('=')
    kinds = ('parameters', 'multiply_adds', 'cost')
    try:
        wanted = float(limit)
    except ValueError:
        wanted = 0.0
    if kind not in kinds or not wanted > 0:
        raise ValueError(f'--budget: expected one of {", ".join(kinds)}, =, a number; got {budget}')
    path = Path(search)
    folder = front or (path if path.is_dir() else path.parent) / 'front'
    point = pick(read_points(folder), kind, wanted)
    return (
        f'{point.connectivity}\n{point.parameters:,} parameters, {point.multiply_adds:,} '
        f'multiply-adds, loss {point.loss} on images held back\n'
        f'train it further: {tool_command("train", folder / point.folder / "finetune.py")}'
    )


def draw_front(scored: Sequence[tuple[float, float]], points: Sequence[Point], unit: str) -> Figure:
    """Loss over cost: all that was scored, and the front.

    Args:
        scored: (cost, loss) of every decoder.
        points: Points of the front, the cheapest first.
        unit: Unit of the costs, for the axis.
    """
    figure = new_figure(7.0, 4.5)
    axes = figure.add_subplot()
    axes.plot(*zip(*scored), '.', color='0.7', markersize=3, label='scored')
    best = [(point.cost, point.loss) for point in points]
    axes.plot(*zip(*best), 'o-', color='#c8553d', markersize=4, label='front')
    axes.set_xscale('log')
    axes.set_ylim(top=sorted(loss for _, loss in scored)[int(0.95 * (len(scored) - 1))])
    axes.set_xlabel(unit)
    axes.set_ylabel('loss on images held back')
    axes.legend()
    return figure
