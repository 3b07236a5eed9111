"""What a fit has found: scores and times of the networks, the table and the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from mmseg_sparsemask.fit.choice import Network
from mmseg_sparsemask.fit.delivery import usage
from mmseg_sparsemask.fit.networks import SEARCHED, Networks, deployed_times
from mmseg_sparsemask.fit.pictures import Scored
from mmseg_sparsemask.report import FitRecord, Step, fit_page, write_page
from mmseg_sparsemask.utils.commands import shown_path
from mmseg_sparsemask.utils.files import read_json, write_json
from mmseg_sparsemask.utils.tool_command import tool_command

#: The page.
PAGE = 'fit.html'

#: Times that were measured, so that what goes on ends with the same.
TIMES = 'milliseconds.json'


def collect(networks: Networks, table: Table) -> list[Network]:
    """All that is known of the networks, the best first.

    Args:
        networks: Their runs.
        table: With what was searched.
    """
    runs = {run.entry.name: run for run in runs_of(table)}
    rows = {row.method: row for row in read_results(networks.results)}
    files = {name: networks.files(run) for name, run in runs.items()}
    configs = {name: config for name, (config, _) in files.items()}
    times = times_of(configs, networks)
    ious = Scored(next(iter(configs.values()))).ious({n: networks.maps(n) for n in runs})
    found = []
    for name, run in runs.items():
        row = rows[run.entry.method]
        score = row.score_test if row.score_val == NONE else float(row.score_val)
        found.append(Network(name, *files[name], row, score, times[name], ious[name]))
    return sorted(found, key=lambda network: -network.score)


def times_of(configs: Mapping[str, Path], networks: Networks) -> dict[str, float]:
    """Milliseconds by network: those that this machine has measured before, if it has.

    Args:
        configs: By network.
        networks: Their runs.
    """
    here, path = machine(networks.device), networks.out / TIMES
    known = read_json(path) if path.is_file() else {}
    if known.get('machine') != here:
        times = deployed_times(configs, networks.plan.tested, networks.device)
        rounded = {name: round(ms, 2) for name, ms in times.items()}
        known = {'machine': here, 'milliseconds': rounded}
        write_json(path, known)
    measured: dict[str, float] = known['milliseconds']
    return measured


def write_outcome(
    found: Sequence[Network],
    chosen: Network,
    why: str,
    networks: Networks,
    done: Sequence[str],
    files: Sequence[Path],
) -> str:
    """Write the page; return what people are told at the end.

    Args:
        found: The networks, the best first.
        chosen: The one that is handed over.
        why: Why it is that.
        networks: Their runs.
        done: Lines on what was run.
        files: What is handed over.
    """
    # The chosen decoder, and the best of those that were searched.
    searched = [network for network in found if network.name in SEARCHED]
    drawn = {n.title: n for n in (chosen, *searched[:1]) if n.row.connections != NONE}
    heads = {name: Config.fromfile(n.config).model.decode_head for name, n in drawn.items()}
    maps = {network.name: networks.maps(network.name) for network in found}
    points = [Row(n.title, scores=[n.score], fps=1000 / n.milliseconds) for n in found]
    panel = ('milliseconds', lambda row: row.fps and 1000 / row.fps, True)
    both = ('--config', chosen.config, '--checkpoint', chosen.checkpoint)
    data, plan, code = networks.data, networks.plan, usage(chosen, files)
    record = FitRecord(
        name=f'Networks for {len(data.classes)} classes on {chosen.row.encoder}',
        choice=why,
        rows=[{**n.cells, 'chosen': 'chosen' if n is chosen else ''} for n in found],
        scores=draw_comparison(points, [panel]),
        graphs=[
            (name, draw_graph(resolve(head.to_dict()['connectivity'], head.strides)))
            for name, head in heads.items()
        ],
        images=data.counts,
        size=plan.tested,
        machine=machine(networks.device),
        iterations=(plan.search_iterations, plan.iterations),
        seen=data.lines(),
        done=done,
        networks=[network.title for network in found],
        classes=[
            (name, f'#{bytes(colour).hex()}', [n.classes[place] for n in found])
            for place, (name, colour) in enumerate(zip(data.classes, data.palette))
        ],
        gallery=[
            (
                name,
                [bytes(cv2.imencode('.png' if n else '.jpg', t)[1]) for n, t in enumerate(tiles)],
            )
            for name, tiles in Scored(chosen.config).gallery(maps)
        ],
        code=code,
        commands=[
            Step(tool_command('train', chosen.config), 'Train it anew, after editing its config'),
            Step(tool_command('test', chosen.config, chosen.checkpoint), 'Score it again'),
            Step(tool_command('inference', 'IMAGE', *both), 'Draw what it predicts'),
        ],
    )
    page = write_page(fit_page(record), networks.out / PAGE)
    text = PrettyTable(list(record.rows[0]), align='r')
    text.add_rows([list(row.values()) for row in record.rows])
    where = [f'  {shown_path(path)}' for path in (page, *files)]
    return '\n'.join(['', text.get_string(), '', why, '', *where, '', code])
