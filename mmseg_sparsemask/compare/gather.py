"""From what a run left in its work directory to a row of results."""

from __future__ import annotations

import argparse
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, DictAction

from mmseg_sparsemask.compare.collect import Method, build_segmentor, fill_sizes, find_score
from mmseg_sparsemask.compare.measure import machine, measure
from mmseg_sparsemask.compare.results import NONE, Result, to_result
from mmseg_sparsemask.compare.table import Row
from mmseg_sparsemask.utils.files import read_json

#: What ``tools/run_table.py`` writes into a work directory: which run it is.
RUN_FILE = 'run.json'

#: Turns of the measurement of a network's time.
ROUNDS = 30


def surroundings() -> dict[str, str]:
    """Machine, versions and commit of a run that starts now."""
    import mmcv
    import mmengine
    import mmseg

    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    libraries = {'torch': torch, 'mmengine': mmengine, 'mmcv': mmcv, 'mmseg': mmseg}
    versions = [f'Python {platform.python_version()}']
    versions += [f'{name} {module.__version__}' for name, module in libraries.items()]
    return {'machine': machine(device), 'versions': ', '.join(versions), 'commit': commit()}


def commit() -> str:
    """This repository's commit, with ``+`` where files differ from it; ``unknown`` without git."""
    root = Path(__file__).parents[2]

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ['git', *arguments], cwd=root, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        changed = git('status', '--porcelain', '--untracked-files=no')
        return git('rev-parse', '--short', 'HEAD') + ('+' if changed else '')
    except (OSError, subprocess.CalledProcessError):
        return 'unknown'


def gather(work_dir: str | Path) -> Result:
    """The row of a run that was trained and scored; its network's time is measured now.

    Args:
        work_dir: Work directory of the run, with `RUN_FILE` and the scores in ``val``, if the data
            set has validation images, and ``test``.

    Raises:
        ValueError: A file or a score is missing, or the model cannot be built or measured.
    """
    folder = Path(work_dir)
    try:
        run = read_json(folder / RUN_FILE)
    except OSError:
        raise ValueError(
            f'{folder}: expected a {RUN_FILE} that says which run this is; train and score it with '
            'tools/run_table.py'
        ) from None
    try:
        return to_result({**_described(run), **_scores(folder), **_sizes(run)})
    except (KeyError, ValueError) as error:
        reason = f'{RUN_FILE} lacks {error}' if isinstance(error, KeyError) else error
        raise ValueError(f'{folder}: {reason}') from None


def _described(run: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that a run's file holds as they are."""
    same = ('method', 'training', 'seed', 'data', 'encoder', 'search_iterations')
    same += ('training_iterations', 'threads', 'machine', 'versions', 'commit', 'log', 'described')
    height, width = run['image_size']
    row = {name: run[name] for name in same}
    row['config'] = row.pop('described')
    row['options'] = ' '.join(run['options']) or NONE
    return {**row, 'image_size': f'{height} x {width}'}


def _scores(folder: Path) -> dict[str, Any]:
    row: dict[str, Any] = {'score_val': NONE}
    for split in ('val', 'test') if (folder / 'val').is_dir() else ('test',):
        score = find_score(folder / split)
        if score is None:
            raise ValueError(
                f'no score in {folder / split}; score the run with tools/test.py CONFIG CHECKPOINT '
                f'--work-dir {folder / split}'
            )
        row['metric'], row[f'score_{split}'] = score.metric, score.value
    return row


def _sizes(run: Mapping[str, Any]) -> dict[str, Any]:
    """Graph, sizes and time of a run's network."""
    cfg = Config.fromfile(run['config'])
    cfg.merge_from_dict(parse_options(run['options']))
    height, width = run['image_size']
    torch.set_num_threads(run['threads'])
    row = Row(run['method'])
    model = build_segmentor(cfg)
    fill_sizes(model, row, (height, width))
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    measure([Method(row, model)], (height, width), device, ROUNDS)
    if row.notes or row.fps is None:
        raise ValueError('; '.join(row.notes))
    connectivity = getattr(model.decode_head, 'connectivity', None)
    return {
        'connectivity': NONE if connectivity is None else str(connectivity),
        'connections': NONE if row.connections is None else row.connections,
        'encoder_parameters': row.encoder_parameters,
        'decoder_parameters': row.decoder_parameters,
        'encoder_multiply_adds': row.encoder_multiply_adds,
        'decoder_multiply_adds': row.decoder_multiply_adds,
        'ms': round(1000 / row.fps, 2),
    }


def parse_options(options: Sequence[str]) -> dict[str, Any]:
    """``key=value`` texts as ``--cfg-options`` reads them."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='*', action=DictAction, default={})
    parsed: dict[str, Any] = parser.parse_args(['--cfg-options', *options]).cfg_options
    return parsed


def log_of(work_dir: str | Path) -> str:
    """Name of the first log of a training: the one that has its start.

    Raises:
        ValueError: There is none.
    """
    folder = Path(work_dir)
    logs = sorted(folder.glob('[0-9]*/*.log'))
    if not logs:
        raise ValueError(f'{folder}: expected the log of a training, found none')
    return f'{folder.name}/{logs[0].name}'


def read_run(work_dir: str | Path) -> dict[str, Any]:
    """What is known of a run in a work directory; empty if none was started there."""
    path = Path(work_dir) / RUN_FILE
    content: dict[str, Any] = read_json(path) if path.is_file() else {}
    return content
