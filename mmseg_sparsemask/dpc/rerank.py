"""Re-ranking: train the best cells for real, and tell how far the proxy was right."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from mmengine.config import Config
from mmengine.logging import print_log
from optuna.trial import FrozenTrial
from scipy.stats import spearmanr

from mmseg_sparsemask.dpc.cell import Cell
from mmseg_sparsemask.dpc.report import check_retrain, ranking, write_best
from mmseg_sparsemask.dpc.settings import SearchSettings
from mmseg_sparsemask.dpc.storage import open_storage
from mmseg_sparsemask.utils.checkpoints import checkpoint_to_resume
from mmseg_sparsemask.utils.checks import check_whole
from mmseg_sparsemask.utils.files import csv_text, read_json, write_atomically, write_json
from mmseg_sparsemask.utils.read_config import draw_by_iteration, read_config
from mmseg_sparsemask.utils.repeatable import fingerprint_key
from mmseg_sparsemask.utils.runner import build_runner
from mmseg_sparsemask.utils.words import counted
from mmseg_sparsemask.utils.work_dir import lock_work_dir

RESULT = 'result.json'
#: What may differ between two trainings whose scores compare.
UNSCORED = ('work_dir', 'default_hooks', 'visualizer', 'vis_backends', 'log_level', 'resume')


def rank_correlation(proxy: Sequence[float], real: Sequence[float]) -> float | None:
    """Spearman's rank correlation; None for fewer than two values, or where all are equal."""
    if len(proxy) < 2 or len(set(proxy)) == 1 or len(set(real)) == 1:
        return None
    return float(spearmanr(proxy, real).statistic)


def train_for_real(cell: Cell, config: Config, work_dir: Path) -> float:
    """Train a cell end to end and score it on the validation set.

    An interrupted training goes on from its last checkpoint, bit for bit as ``tools/train.py``
    does; a finished one is not repeated.

    Args:
        cell: The cell.
        config: A training config whose ``decode_head`` is a `DPCHead`; not changed.
        work_dir: Folder of all trainings; this one has a folder in it, named by the cell and by
            everything in the config that the score depends on.

    Returns:
        The mIoU in percent after the last iteration.

    Raises:
        ValueError: The config's validation gives no mIoU.
    """
    plan = {k: v for k, v in config.to_dict().items() if k not in UNSCORED}
    work_dir = work_dir / f'{cell.hash}-{fingerprint_key(plan)[:8]}'
    done = work_dir / RESULT
    if done.exists():
        return float(read_json(done)['miou'])
    run = copy.deepcopy(config)
    run.model.decode_head.cell = cell.to_published()
    run.work_dir = str(work_dir)
    draw_by_iteration(run)
    run.experiment_name = f'dpc_rerank_{cell.hash}'
    # The toolbox keeps one visualizer of a name for ever: all cells' curves would be the first's.
    if run.get('visualizer'):
        run.visualizer.name = run.work_dir
    # `load_from` says where a training starts; with `resume` it would be taken for its checkpoint.
    checkpoint, _ = checkpoint_to_resume(work_dir)
    run.resume = checkpoint is not None
    if checkpoint:
        run.load_from = str(checkpoint)
    runner = build_runner(run)
    runner.train()
    scores = runner.val()
    if 'mIoU' not in scores:
        raise ValueError(
            f'val_evaluator: expected one that gives mIoU, such as IoUMetric, got {[*scores]}; the '
            f'network that was trained is in {work_dir}'
        )
    miou = round(float(scores['mIoU']), 4)
    write_json(done, dict(miou=miou, cell=cell.to_dict()))
    return miou


def training_config(cfg: Config, options: dict[str, Any] | None = None) -> Config:
    """The config that the cells of a search are trained with.

    Args:
        cfg: The search config; its ``dpc_search.retrain`` names it.
        options: Changes to it, as from ``--cfg-options``.

    Raises:
        ValueError: The search config names none.
    """
    retrain = SearchSettings.from_config(cfg).retrain
    if retrain is None:
        raise ValueError(f'{cfg.filename} names no dpc_search.retrain, the config to train with')
    return read_config(retrain, options)


def run_rerank(
    cfg: Config,
    storage: str,
    study_name: str,
    top: int,
    work_dir: str | Path,
    options: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Train the ``top`` cells of a study for real and write the new ranking.

    ``rerank.csv``, ``cell.json``, ``cell.svg`` and ``retrain.py`` of the cell that is best for
    real. Run again to go on after an interruption, or with a larger ``top``.

    Args:
        cfg: The search config; its ``dpc_search.retrain`` names the training config.
        storage: Storage of the search.
        study_name: Name of the search.
        top: How many cells, at least 1.
        work_dir: For the trainings and the results.
        options: Changes to the training config, as from ``--cfg-options``.

    Returns:
        ``spearman``, ``rows`` (best first) and ``best`` (a `Cell`).

    Raises:
        ValueError: No training config, no such study, no finished trial, ``top`` below 1.
    """
    check_whole(1, **{'--top': top})
    settings = SearchSettings.from_config(cfg)
    config = training_config(cfg, options)
    opened = open_storage(storage)
    try:
        study = optuna.load_study(study_name=study_name, storage=opened)
    except KeyError:
        names = optuna.get_all_study_names(opened)
        raise ValueError(
            f'no study {study_name!r} in this storage; it has {names}: search first'
        ) from None
    ranked = ranking(study, settings.constraints)
    if not ranked:
        raise ValueError(f'the study {study_name!r} has no finished trial that keeps the bounds')
    if len(ranked) < top:
        print_log(f'training all of the study: {counted(len(ranked), "finished cell")}', 'current')
    work_dir, base = Path(work_dir), str(settings.retrain)
    check_retrain(base, work_dir)
    with lock_work_dir(work_dir):
        return _train_all(ranked[:top], config, work_dir, base, study_name)


def _train_all(
    chosen: Sequence[FrozenTrial], config: Config, work_dir: Path, base: str, study_name: str
) -> dict[str, Any]:
    """Train cells one after the other, and write what came of it."""
    rows: list[dict[str, Any]] = []
    for place, trial in enumerate(chosen, 1):
        cell = Cell.from_string(trial.user_attrs['cell'])
        print_log(f'cell {place} of {len(chosen)}: {cell.to_string()}', 'current')
        miou = train_for_real(cell, config, work_dir)
        rows.append(
            dict(
                proxy_rank=place,
                real_miou=miou,
                proxy_miou=trial.user_attrs['miou'],
                parameters=trial.user_attrs['parameters'],
                hash=cell.hash,
                cell=cell.to_string(),
            )
        )
    spearman = rank_correlation([r['proxy_miou'] for r in rows], [r['real_miou'] for r in rows])
    rows.sort(key=lambda row: -row['real_miou'])
    rows = [dict(real_rank=place, **row) for place, row in enumerate(rows, 1)]
    table = csv_text(list(rows[0]), (row.values() for row in rows))
    write_atomically(work_dir / 'rerank.csv', table)
    notes = {
        'source': f'study {study_name}, re-ranked',
        **{name: rows[0][name] for name in ('proxy_miou', 'real_miou', 'parameters')},
    }
    best = write_best(rows[0]['cell'], notes, base, work_dir)
    write_json(work_dir / 'rerank.json', dict(spearman=spearman, rows=rows))
    for row in rows:
        print_log(
            f'{row["real_rank"]:3d}  real {row["real_miou"]:.2f}  proxy {row["proxy_miou"]:.2f} '
            f'(rank {row["proxy_rank"]})  {row["cell"]}',
            'current',
        )
    said = 'none: it needs two cells, and scores that differ'
    said = said if spearman is None else f'{spearman:.3f}'
    print_log(f"Spearman's rank correlation of {counted(len(rows), 'cell')}: {said}", 'current')
    return dict(spearman=spearman, rows=rows, best=best)
