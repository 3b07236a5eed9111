"""The pages of a front: of all its points, of each, and of the search that it came from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmengine.logging import print_log

from mmseg_sparsemask.connectivity import Connectivity, load
from mmseg_sparsemask.front.supernet import Supernet
from mmseg_sparsemask.front.why import Change, write_changes
from mmseg_sparsemask.report import (
    ConnectionChange,
    FrontPoint,
    FrontRecord,
    front_page,
    point_page,
    search_page,
    write_page,
)
from mmseg_sparsemask.search.finish import RESULTS
from mmseg_sparsemask.search.front_table import Point
from mmseg_sparsemask.search.record import Search
from mmseg_sparsemask.search.tables import search_record, steps_after
from mmseg_sparsemask.utils.repeatable import weights_digest
from mmseg_sparsemask.utils.tool_command import tool_command

PAGE = 'report.html'


def write_pages(
    decoders: Sequence[tuple[Supernet, Connectivity, Point, Sequence[Change]]],
    unit: str,
    notes: Sequence[str],
    folder: Path,
) -> None:
    """Write ``report.html`` for the front and for each point, and ``why.csv`` where it is known.

    The search whose ``front/`` the folder is gets the front into its own page, too, unless what
    lies beside that page was pruned from another checkpoint, or in another way.

    Args:
        decoders: The points, the cheapest first, each with its supernet and graph, and what its
            connections are worth.
        unit: Of the costs.
        notes: What has to be said of the scores.
        folder: Folder of the front's table.

    Raises:
        ValueError: A file cannot be written.
    """
    points = []
    for supernet, graph, point, changes in decoders:
        meta = supernet.search.dataset_meta or {}
        count = supernet.head.num_classes
        classes = list(meta.get('classes') or ())
        classes = classes if len(classes) == count else [f'class {n}' for n in range(count)]
        if changes:
            write_changes(folder / point.folder / 'why.csv', changes, classes)
        points.append(_shown(graph, point, changes, classes, folder))
    names = ', '.join(dict.fromkeys(supernet.name for supernet, *_ in decoders))
    of = weights_digest(decoders[0][0].head)
    record = FrontRecord(f'The front of {names}', unit, points, notes, of)
    record.save(folder)
    write_page(front_page(record), folder / PAGE)
    for shown, (_, _, point, _) in zip(points, decoders):
        write_page(point_page(record, shown), folder / point.folder / PAGE)
    first = decoders[0][0]
    if folder.name == 'front' and (folder.parent / PAGE).is_file():
        _write_search_page(first.search, record, folder.parent)


def _shown(
    graph: Connectivity,
    point: Point,
    changes: Sequence[Change],
    classes: Sequence[str],
    folder: Path,
) -> FrontPoint:
    known = {
        'parameters': f'{point.parameters:,}',
        'multiply-adds of the decoder': f'{point.multiply_adds:,}',
        'multiply-adds of the encoder': point.encoder_multiply_adds
        and f'{point.encoder_multiply_adds:,}',
        'ms of the decoder, by the table': point.milliseconds and f'{point.milliseconds:.2f}',
        'connections': str(len(graph)),
        'loss on images held back': f'{point.loss:.4f}',
        'mIoU on images held back': f'{point.miou:.2f}',
        'loss after a short training': point.trained_loss and f'{point.trained_loss:.4f}',
        'score on val': None if point.val is None else f'{point.val:.2f}',
        'loss of random decoders of both costs': point.random_loss and f'{point.random_loss:.4f}',
        'supernet': point.supernet,
    }
    return FrontPoint(
        name=Path(point.folder).name,
        strides=list(graph.strides),
        inputs={stage: list(sources) for stage, sources in graph.stages.items()},
        cost=point.cost,
        score=point.miou,
        score_name='mIoU',
        numbers={name: text for name, text in known.items() if text},
        commands=point.steps(folder),
        changes=[
            ConnectionChange(*change.connection, change.kept, change.miou, change.classes)
            for change in changes
        ],
        classes=classes,
    )


def _write_search_page(search: Search, front: FrontRecord, folder: Path) -> None:
    written = [name for name in RESULTS if (folder / name).is_file()]
    try:
        found, beside = search.prune(), load(folder / 'connectivity.json')
        known = ('iteration', 'threshold', 'merge')
        if found != beside or any(found.meta[key] != beside.meta.get(key) for key in known):
            raise ValueError(
                f'it is not about {search.title} with threshold {search.settings.threshold:g}; '
                f'{tool_command("prune")} writes it anew'
            )
        record = search_record(search, found, steps_after(folder, written), front)
    except ValueError as error:  # nothing of the search itself may be left
        print_log(f'{folder / PAGE} does not show the front: {error}', 'current')
        return
    write_page(search_page(record), folder / PAGE)
