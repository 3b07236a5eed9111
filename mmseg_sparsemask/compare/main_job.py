"""The main job as a table: search, prune, train further and from scratch, beside a baseline."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from prettytable import PrettyTable

from mmseg_sparsemask.compare.plan import Entry, Search, Table, runs_of
from mmseg_sparsemask.compare.results import read_results
from mmseg_sparsemask.compare.run_record import read_run
from mmseg_sparsemask.compare.runner import TableRunner
from mmseg_sparsemask.compare.samples import write_samples
from mmseg_sparsemask.compare.steps import last_checkpoint
from mmseg_sparsemask.search.derived import FINETUNE_ITERATIONS
from mmseg_sparsemask.utils.commands import clock
from mmseg_sparsemask.utils.registered import type_name

#: What the search of the job is called in its table.
SEARCH = 'search'

#: Figures of a search, to look at.
FIGURES = ('connectivity.svg', 'connection_weights.svg', 'report.html')


def main_job(config: str, baseline: str | None, options: Mapping[str, Any]) -> Table:
    """The table of a search and of all that comes after it, each with seed 0 on one thread.

    Args:
        config: Config of a search whose PruneHook names a retrain config.
        baseline: Config to train for comparison, if any.
        options: What overrides all configs, by dotted key. ``train_cfg.max_iters`` is the length
            of every training.

    Raises:
        ValueError: The PruneHook names no retrain config, or a config counts no iterations.
    """
    given = dict(options)
    length = given.pop('train_cfg.max_iters', None)

    def iterations(path: str, share: float = 1.0) -> int:
        counted = (Config.fromfile(path).get('train_cfg') or {}).get('max_iters')
        if counted is None:
            raise ValueError(f'{path}: expected a config that counts iterations, in train_cfg')
        return length or max(1, round(counted * share))

    cfg = Config.fromfile(config)
    cfg.merge_from_dict(given)
    hooks = [hook for hook in cfg.get('custom_hooks', []) if type_name(hook) == 'PruneHook']
    retrain = hooks[0].get('retrain_config') if hooks else None
    if retrain is None:
        raise ValueError(f'{config}: expected a PruneHook with a retrain_config; give it one')

    def entry(name: str, method: str, training: str, length: int = 0, **start: str) -> Entry:
        return Entry(name, method, training, (0,), length, **start)

    searched = {'search': SEARCH}
    entries = [
        entry('supernet', 'supernet', 'searched', **searched, use='supernet'),
        entry('pruned', 'pruned', 'not trained', **searched, use='pruned'),
        # The longest first, so that both processes are busy to the end.
        entry('retrain', 'pruned', 'from scratch', iterations(retrain), **searched, use='retrain'),
        entry(
            'finetune',
            'pruned',
            'fine-tuned',
            iterations(retrain, FINETUNE_ITERATIONS),
            **searched,
            use='finetune',
        ),
    ]
    if baseline:
        name = Path(baseline).stem
        entries.insert(1, entry(name, name, 'trained', iterations(baseline), config=baseline))
    return Table(
        name='main job',
        data=Path(config).stem,
        encoder=str(cfg.model.backbone.type),
        image_size=tuple(cfg.model.data_preprocessor.get('size') or (512, 512)),
        threads=1,
        val_options=None,
        searches={SEARCH: Search(config, iterations(config))},
        entries=tuple(entries),
        options=given,
    )


def run_main_job(table: Table, root: Path, tools: Path) -> str:
    """Run the job, two steps at a time; return its table and figures as text."""
    results = root / 'results.csv'
    runs = runs_of(table)
    TableRunner(table, runs, root, results, tools).run(processes=2)
    rows = {(row.group, row.seed): row for row in read_results(results)}
    score = f'{next(iter(rows.values())).metric} (test)'
    text = PrettyTable(['decoder', 'connections', 'decoder parameters', score, 'training time'])
    text.align = 'r'
    text.align['decoder'] = 'l'
    for run in runs:
        row, work_dir = rows[run.group(table), run.seed], run.work_dir(root)
        name = row.method if row.training == 'trained' else f'{row.method}, {row.training}'
        seconds = read_run(work_dir.parent if name.startswith('supernet') else work_dir)['seconds']
        size = (row.connections, f'{row.decoder_parameters:,}')
        text.add_row([name, *size, f'{row.score_test:.1f}', clock(seconds) if seconds else '-'])
    found = root / SEARCH / 'seed0'
    tuned = found / 'finetune'
    cfg = Config.fromfile(found / 'finetune.py')
    cfg.merge_from_dict(dict(table.options))
    figures = [found / name for name in FIGURES]
    figures += write_samples(cfg, last_checkpoint(tuned), root)
    return f'{text.get_string()}\n\nfigures\n' + '\n'.join(f'  {path}' for path in figures)
