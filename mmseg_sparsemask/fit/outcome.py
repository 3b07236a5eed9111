"""What a fit has found: scores and times of the networks, the table and the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
from mmengine.config import Config
from prettytable import PrettyTable

from mmseg_sparsemask.compare.measure import machine
from mmseg_sparsemask.compare.plan import Table, runs_of
from mmseg_sparsemask.compare.results import NONE, read_results
from mmseg_sparsemask.compare.rows import Row
from mmseg_sparsemask.compare.scatter import draw_comparison
from mmseg_sparsemask.connectivity import resolve
from mmseg_sparsemask.connectivity.draw import draw_graph
from mmseg_sparsemask.fit.choice import Network, as_table
from mmseg_sparsemask.fit.data import FolderData
from mmseg_sparsemask.fit.delivery import usage
from mmseg_sparsemask.fit.networks import MAPS, Networks
from mmseg_sparsemask.fit.pictures import Scored
from mmseg_sparsemask.fit.timing import deployed_times
from mmseg_sparsemask.report import FitRecord, Step, fit_page, write_page
from mmseg_sparsemask.utils.commands import shown_path
from mmseg_sparsemask.utils.files import read_json, write_json

#: The page.
PAGE = 'fit.html'

#: Times that were measured, so that what goes on ends with the same.
TIMES = 'milliseconds.json'


def collect(networks: Networks, table: Table, out: Path) -> list[Network]:
    """All that is known of the networks, in the order of the table.

    Args:
        networks: Their runs.
        table: With what was searched.
        out: Folder of all that is written.
    """
    runs = runs_of(table)
    rows = {row.method: row for row in read_results(networks.results)}
    files = {run.entry.name: networks.files(run) for run in runs}
    if not (out / TIMES).is_file():
        configs = {name: config for name, (config, _) in files.items()}
        times = deployed_times(configs, networks.plan.tested, networks.device)
        write_json(out / TIMES, {name: round(ms, 2) for name, ms in times.items()})
    times = read_json(out / TIMES)
    maps = {run.entry.name: run.work_dir(networks.root) / MAPS for run in runs}
    ious = Scored(files[runs[0].entry.name][0]).ious(maps)
    found = []
    for run in runs:
        row, name = rows[run.entry.method], run.entry.name
        score = row.score_test if row.score_val == NONE else float(row.score_val)
        parameters = row.encoder_parameters + row.decoder_parameters
        work = row.encoder_multiply_adds + row.decoder_multiply_adds
        found.append(
            Network(
                name,
                row.method,
                *files[name],
                score,
                times[name],
                parameters,
                work,
                ious[name],
                row,
            )
        )
    return found


def write_outcome(
    found: Sequence[Network],
    chosen: Network,
    why: str,
    data: FolderData,
    networks: Networks,
    done: Sequence[str],
    files: Sequence[Path],
    out: Path,
) -> None:
    """Write the page.

    Args:
        found: The networks.
        chosen: The one that is handed over.
        why: Why it is that.
        data: What was seen of the images.
        networks: Their runs.
        done: Lines on what was run.
        files: What is handed over.
        out: The folder.
    """
    order = sorted(found, key=lambda network: -network.score)
    scored = Scored(chosen.config)
    maps = {n.name: networks.root / n.name / 'seed0' / MAPS for n in order}
    gallery = scored.gallery(maps)
    head = Config.fromfile(chosen.config).model.decode_head
    graph = None
    if head.get('connectivity') is not None:
        given = head.connectivity
        given = given.to_dict() if hasattr(given, 'to_dict') else given
        graph = draw_graph(resolve(given, head.strides))
    height, width = networks.plan.tested
    tested = 'test' in data.counts
    conditions = [
        f'mIoU of {data.counts["val"]} validation images, of one training each: differences of a '
        'point or two are chance.'
        + (' Scores of each class are those of the test images.' if tested else ''),
        f'Milliseconds: one {width}x{height} image in the deployed form, median of 20, '
        f'{machine(networks.device)}.',
        f'Every network has {networks.plan.iterations} iterations behind it; the searched ones '
        f'had {networks.plan.search_iterations} of them as parts of the supernet.',
    ]
    record = FitRecord(
        name=f'Networks for {len(data.classes)} classes on {chosen.about.encoder}',
        choice=why,
        rows=as_table(found, chosen),
        scores=_scatter(order),
        graph=graph,
        conditions=conditions,
        seen=data.lines(),
        done=done,
        networks=[network.title for network in order],
        classes=[
            (name, f'#{bytes(colour).hex()}', [n.classes[place] for n in order])
            for place, (name, colour) in enumerate(zip(data.classes, data.palette))
        ],
        gallery=[
            (name, [_encoded(tile, not n) for n, tile in enumerate(tiles)])
            for name, tiles in gallery
        ],
        code=usage(chosen, list(files)),
        commands=_commands(chosen),
    )
    write_page(fit_page(record), out / PAGE)


def _scatter(order: Sequence[Network]):
    rows = [Row(n.title, scores=[n.score], fps=1000 / n.milliseconds) for n in order]
    return draw_comparison(rows, [('milliseconds', lambda row: row.fps and 1000 / row.fps, True)])


def _encoded(tile, photograph: bool) -> bytes:
    return bytes(cv2.imencode('.jpg' if photograph else '.png', tile)[1])


def _commands(chosen: Network) -> list[Step]:
    config, checkpoint = shown_path(chosen.config), shown_path(chosen.checkpoint)
    both, tool = f'--config {config} --checkpoint {checkpoint}', 'mmseg-sparsemask'
    return [
        Step(f'{tool} train {config}', 'Train the chosen network anew, after editing its config'),
        Step(f'{tool} test {config} {checkpoint}', 'Score it again'),
        Step(f'{tool} inference IMAGE {both} --out shown', 'Draw what it predicts'),
    ]


def told(
    found: Sequence[Network], chosen: Network, why: str, files: Sequence[Path], out: Path
) -> str:
    """The table, the choice, and where everything is."""
    rows = as_table(found, chosen)
    text = PrettyTable(list(rows[0]))
    text.align = 'r'
    text.align['network'] = 'l'
    for row in rows:
        text.add_row(row.values())
    where = [shown_path(path) for path in (out / PAGE, *files)]
    return (
        f'\n{text.get_string()}\n\n{why}\n\n'
        + '\n'.join(f'  {path}' for path in where)
        + f'\n\n{usage(chosen, list(files))}'
    )
