"""What a search leaves behind: a table, plots, pictures, the best cell and a config to train it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import optuna
from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.logging import print_log
from optuna.study import Study
from optuna.trial import FrozenTrial

from mmseg_sparsemask.dpc.cell import Cell
from mmseg_sparsemask.dpc.cell_figure import draw_cell
from mmseg_sparsemask.dpc.presets import aspp
from mmseg_sparsemask.dpc.settings import SearchSettings
from mmseg_sparsemask.dpc.study import finished_trials
from mmseg_sparsemask.report import CellRecord, Step, StudyRecord, study_page, write_page
from mmseg_sparsemask.utils.derived_config import Beside, write_derived_config
from mmseg_sparsemask.utils.figures import new_figure, save_figure
from mmseg_sparsemask.utils.files import (
    check_work_dir,
    csv_text,
    read_json,
    write_atomically,
    write_json,
)
from mmseg_sparsemask.utils.registered import type_name
from mmseg_sparsemask.utils.tool_command import tool_command
from mmseg_sparsemask.utils.words import counted
from mmseg_sparsemask.utils.work_dir import keep_earlier

COLUMNS = (
    *('miou', 'parameters', 'multiply_adds', 'latency'),
    *('iters', 'seconds', 'worker', 'hash', 'cell'),
)
PICTURES = 5
#: How plots name a cost, and the factor to the unit in that name.
COSTS = {
    'parameters': ('weights of the branches (M)', 1e-6),
    'multiply_adds': ('multiply-adds of the branches (G)', 1e-9),
    'latency': ('latency of the head (ms)', 1.0),
}
Points = tuple[list[float], list[float]]
#: Says whose results a folder holds.
OWNER = 'study.json'
RESULTS = (
    *(OWNER, 'results.csv', 'history.svg', 'pareto_*.svg', 'cells'),
    *('cell.json', 'cell.svg', 'retrain.py', 'report.html'),
)


def write_best(cell: str, notes: Mapping[str, Any], base: str | None, work_dir: Path) -> Cell:
    """Write ``cell.json``, ``cell.svg`` and, given ``base``, ``retrain.py`` of a found cell.

    Args:
        cell: As `Cell.to_string` writes it; the config holds all of it and so stands alone.
        notes: Where it comes from and what it scored; the cell's ``meta``.
        base: A training config whose ``decode_head`` is a `DPCHead`, to inherit from.
        work_dir: Where to write.

    Returns:
        The cell with its notes.
    """
    best = Cell(Cell.from_string(cell).branches, notes)
    best.save(work_dir / 'cell.json')
    save_figure(draw_cell(best.canonical()), work_dir / 'cell.svg')
    if base:
        _write_retrain(work_dir / 'retrain.py', best, base)
    return best


def _write_retrain(path: Path, cell: Cell, base: str) -> None:
    head = {'decode_head': {'cell': cell.to_published()}}
    settings = {'work_dir': Beside('retrain'), 'model': head}
    comment = f'The cell {cell.hash}, found by a search.'
    # What is inherited from a pure-Python config can only be read in a pure-Python config.
    write_derived_config(path, base, settings, comment, Config._is_lazy_import(base))


def check_retrain(base: str, work_dir: Path) -> None:
    """Make sure that ``retrain.py`` can be written at the end, by writing and reading one now.

    Args:
        base: The training config to inherit.
        work_dir: Where it will be written.

    Raises:
        ValueError: It cannot be used; the message says why.
    """
    check_work_dir(work_dir)
    cell = aspp()
    with TemporaryDirectory(prefix='.check', dir=work_dir) as folder:
        try:
            _write_retrain(Path(folder) / 'retrain.py', cell, base)
            head = Config.fromfile(Path(folder) / 'retrain.py').model.decode_head
            if type_name(head) != 'DPCHead':
                raise ValueError(f"expected a decode_head 'DPCHead', got {type_name(head)!r}")
            if Cell.from_published(head.cell) != cell:
                raise ValueError('the cell of its decode_head cannot be replaced')
        except Exception as error:  # a config is a program: whatever it may do
            reason = ' '.join(str(error).split()) or type(error).__name__
            raise ValueError(
                f'dpc_search.retrain: {base} cannot be used for retrain.py at the end: {reason}'
            ) from error


def holds_results_of(work_dir: Path, study_name: str) -> bool:
    """Whether the results in a folder are, or will be, those of this study."""
    try:
        return bool(read_json(work_dir / OWNER)['study'] == study_name)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def claim_results(work_dir: Path, study_name: str) -> None:
    """Note whose results a folder holds; those of another study move to a folder of their own."""
    owner = work_dir / OWNER
    if owner.exists() and not holds_results_of(work_dir, study_name):
        names = [path.name for pattern in RESULTS for path in work_dir.glob(pattern)]
        kept = keep_earlier(work_dir, names)
        print_log(f'results of another study in {work_dir}: kept in {kept}', 'current')
    write_json(owner, {'study': study_name})


def feasible(trial: FrozenTrial, constraints: Mapping[str, float] | None) -> bool:
    """Whether a trial keeps all upper bounds."""
    return all(trial.user_attrs[name] <= bound for name, bound in (constraints or {}).items())


def ranking(study: Study, constraints: Mapping[str, float] | None = None) -> list[FrozenTrial]:
    """Finished trials that keep all bounds, the best mIoU first."""
    trials = [t for t in finished_trials(study) if feasible(t, constraints)]
    return sorted(
        trials, key=lambda t: (-t.user_attrs['miou'], t.user_attrs['parameters'], t.number)
    )


def pareto_front(trials: Sequence[FrozenTrial], cost: str) -> list[FrozenTrial]:
    """Trials that no other beats in both mIoU and ``cost``, the cheapest first."""
    front: list[FrozenTrial] = []
    order = sorted(trials, key=lambda t: (t.user_attrs[cost], -t.user_attrs['miou']))
    for trial in order:
        if not front or trial.user_attrs['miou'] > front[-1].user_attrs['miou']:
            front.append(trial)
    return front


def _plot(cells: Points, line: Points, style: str, label: str, xlabel: str) -> Figure:
    """Cells as dots and a line of steps over them; ``cells`` and ``line`` are (x, mIoU)."""
    figure = new_figure(6, 3.5)
    axes = figure.add_subplot()
    axes.plot(*cells, 'o', markersize=4, color='#5b8db8', label='a cell')
    axes.step(*line, style, where='post', markersize=4, color='#c0504d', label=label)
    axes.set_xlabel(xlabel)
    axes.set_ylabel('proxy mIoU (%)')
    axes.legend(loc='lower right')
    axes.grid(alpha=0.3)
    return figure


def plot_history(trials: Sequence[FrozenTrial]) -> Figure:
    """The proxy score of every trial and the best so far."""
    numbers = [t.number for t in trials]
    scores = [t.user_attrs['miou'] for t in trials]
    best = list(accumulate(scores, max))
    return _plot((numbers, scores), (numbers, best), '-', 'best so far', 'trial')


def plot_pareto(trials: Sequence[FrozenTrial], cost: str) -> Figure:
    """MIoU against a cost, with the front of what no other cell beats."""
    xlabel, scale = COSTS[cost]

    def points(some: Sequence[FrozenTrial]) -> Points:
        return [t.user_attrs[cost] * scale for t in some], [t.user_attrs['miou'] for t in some]

    front = points(pareto_front(trials, cost))
    return _plot(points(trials), front, 'o-', 'Pareto front', xlabel)


def write_study_report(study: Study, settings: SearchSettings, work_dir: Path) -> dict[str, Any]:
    """Write all results of a study that has at least one finished trial.

    ``results.csv``, ``history.svg``, ``pareto_<cost>.svg``, ``cells/rank_<k>.svg`` of the best,
    ``cell.json``, ``report.html`` and, if the settings name a training config, ``retrain.py``.

    Args:
        study: The study.
        settings: Those of the search.
        work_dir: Where to write.

    Returns:
        ``best`` (a `Cell`), its ``miou``, ``trials`` (how many finished), and ``thirds``, the mean
        mIoU of the first and of the last third of them.

    Raises:
        ValueError: No finished trial.
    """
    trials = finished_trials(study)
    if not trials:
        raise ValueError(f'the study {study.study_name!r} has no finished trial yet')
    work_dir.mkdir(parents=True, exist_ok=True)
    rows = []
    for trial in trials:
        values = [trial.user_attrs.get(name) for name in COLUMNS]
        rows.append([trial.number, *values, feasible(trial, settings.constraints)])
    table = csv_text(['number', *COLUMNS, 'feasible'], rows)
    write_atomically(work_dir / 'results.csv', table)
    (work_dir / 'cells').mkdir(exist_ok=True)
    save_figure(plot_history(trials), work_dir / 'history.svg')
    costs = [name for name in (*settings.objectives, *settings.constraints) if name != 'miou']
    for cost in dict.fromkeys(costs or ['parameters']):
        save_figure(plot_pareto(trials, cost), work_dir / f'pareto_{cost}.svg')
    ranked = ranking(study, settings.constraints)
    if not ranked:
        print_log('no finished cell keeps the constraints; search on, or loosen them', 'current')
        ranked = ranking(study)
    for earlier in (work_dir / 'cells').glob('rank_*.svg'):
        earlier.unlink()  # with other bounds more cells may have ranked
    for place, trial in enumerate(ranked[:PICTURES], 1):
        values = trial.user_attrs
        cell = Cell.from_string(values['cell']).canonical()
        title = f'{values["miou"]:.2f} % mIoU, {values["parameters"]:,} weights'
        save_figure(draw_cell(cell, title), work_dir / 'cells' / f'rank_{place}.svg')
    best, values = ranked[0], ranked[0].user_attrs
    notes = {
        'source': f'study {study.study_name}, trial {best.number}',
        'proxy_miou': values['miou'],
        'parameters': values['parameters'],
        'optuna': optuna.__version__,
    }
    cell = write_best(values['cell'], notes, settings.retrain, work_dir)
    write_study_page(study.study_name, trials, settings, work_dir)
    scores = [t.user_attrs['miou'] for t in trials]
    # Of fewer than three trials, both means are of all.
    third = len(scores) // 3 or len(scores)
    first, last = sum(scores[:third]) / third, sum(scores[-third:]) / third
    print_log(
        f'{counted(len(trials), "cell")}: best proxy mIoU {values["miou"]:.2f} (trial '
        f'{best.number}), mean of the first third {first:.2f}, of the last {last:.2f}; '
        f'results in {work_dir}',
        'current',
    )
    return dict(best=cell, miou=values['miou'], trials=len(trials), thirds=(first, last))


def write_study_page(
    name: str, trials: Sequence[FrozenTrial], settings: SearchSettings, work_dir: Path
) -> Path:
    """Write report.html: cells, front and history on one page.

    Args:
        name: Name of the study.
        trials: Finished ones.
        settings: Those of the search.
        work_dir: Where to write; its retrain.py is the command to go on with, if it is there.
    """
    cells = []
    for trial in sorted(trials, key=lambda t: t.number):
        values = trial.user_attrs
        branches = Cell.from_string(values['cell']).canonical().branches
        drawn = [(branch.input, branch.op.name) for branch in branches]
        numbers = [values[name] for name in ('miou', 'parameters', 'multiply_adds')]
        kept = feasible(trial, settings.constraints)
        cells.append(CellRecord(trial.number, *numbers, drawn, kept))
    retrain = work_dir / 'retrain.py'
    commands = [Step(tool_command('train', retrain), 'train the best cell')]
    record = StudyRecord(name, cells, commands=commands if retrain.is_file() else ())
    return write_page(study_page(record), work_dir / 'report.html')
