"""What is written of a front: a picture, and a folder for each point."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.runner import Runner

from mmseg_sparsemask.connectivity import Connectivity, save
from mmseg_sparsemask.connectivity.draw import draw_graph
from mmseg_sparsemask.front.supernet import Supernet
from mmseg_sparsemask.models.inheritance import pruned_head
from mmseg_sparsemask.search.derived import write_finetune, write_retrain
from mmseg_sparsemask.search.front_table import Point
from mmseg_sparsemask.search.pruned_file import largest_difference, write_pruned
from mmseg_sparsemask.search.validation import main_score
from mmseg_sparsemask.utils.figures import new_figure, save_figure


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


def write_point(supernet: Supernet, graph: Connectivity, front: Path) -> Point:
    """Write the files of a decoder to a folder of its own in that of its supernet.

    Args:
        supernet: What the decoder is a part of.
        graph: The decoder.
        front: Folder of the table.

    Returns:
        Its row, without what random decoders and a validation give.

    Raises:
        ValueError: A file cannot be written.
    """
    counted = supernet.head.shape.cost(graph, supernet.scorer.images.size)
    folder = supernet.folder / _name(graph, counted.parameters)
    folder.mkdir(parents=True, exist_ok=True)
    write_decoder(supernet, graph, folder)
    return Point(
        folder=os.path.relpath(folder, front),
        supernet=supernet.name,
        connections=len(graph),
        end=graph.end,
        parameters=counted.parameters,
        multiply_adds=counted.multiply_adds,
        encoder_multiply_adds=supernet.encoder_multiply_adds,
        milliseconds=supernet.milliseconds(graph),
        cost=supernet.cost(graph),
        loss=round(supernet.scorer.loss(graph), 5),
        miou=round(supernet.scorer.miou(graph), 2),
        connectivity=str(graph),
    )


def write_decoder(supernet: Supernet, graph: Connectivity, folder: Path) -> None:
    """Write ``connectivity.json``, a picture, ``pruned.pth``, ``finetune.py`` and ``retrain.py``.

    Args:
        supernet: What the decoder is a part of.
        graph: The decoder.
        folder: An existing one.

    Raises:
        ValueError: A file cannot be written.
    """
    search, scorer = supernet.search, supernet.scorer
    head = scorer.with_statistics(graph)
    pruned = pruned_head(head, graph)
    with head.cut_to(graph):
        difference = largest_difference(head, pruned)
    write_pruned(folder / 'pruned.pth', search, pruned, difference)
    known = {
        'source': 'front',
        'supernet': search.title,
        'held_back_loss': scorer.loss(graph),
    }
    save(Connectivity(graph.strides, graph.stages, known), folder / 'connectivity.json')
    save_figure(draw_graph(graph), folder / 'connectivity.svg')
    if search.settings.retrain_config:
        write_retrain(folder / 'retrain.py', graph, search.settings)
    if search.settings.retrain_config or search.settings.finetune_config:
        write_finetune(folder / 'finetune.py', head, graph, search.settings)


def _name(graph: Connectivity, parameters: int) -> str:
    """Name of a decoder's folder: others of as many connections and parameters have another."""
    digest = hashlib.sha256(str(graph).encode()).hexdigest()
    return f'{len(graph):02d}connections_{parameters}_{digest[:4]}'


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
    best = [(point.cost, point.rank_loss) for point in points]
    axes.plot(*zip(*best), 'o-', color='#c8553d', markersize=4, label='front')
    axes.set_xscale('log')
    axes.set_ylim(top=sorted(loss for _, loss in scored)[int(0.95 * (len(scored) - 1))])
    axes.set_xlabel(unit)
    axes.set_ylabel('loss on images held back')
    axes.legend()
    return figure
