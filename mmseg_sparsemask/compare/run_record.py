"""What a run of a table leaves in its work directory, and the row of results made of it."""

from __future__ import annotations

import platform
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from mmseg_sparsemask.compare.measure import machine, measure
from mmseg_sparsemask.compare.methods import Method
from mmseg_sparsemask.compare.results import NONE, Result, to_result
from mmseg_sparsemask.compare.rows import COSTS, Row
from mmseg_sparsemask.compare.scores import find_score
from mmseg_sparsemask.compare.sizes import build_segmentor, decoder_parameters, fill_sizes
from mmseg_sparsemask.utils.files import read_json
from mmseg_sparsemask.utils.read_config import override, read_config
from mmseg_sparsemask.utils.registered import type_name
from mmseg_sparsemask.utils.tool_command import tool_command
from mmseg_sparsemask_cli.arguments import cfg_options

#: What ``tools/run_table.py`` writes into a work directory: which run it is.
RUN_FILE = 'run.json'

#: Keys of this file that are fields of a row.
_AS_THEY_ARE = tuple(
    'method training seed data encoder search_iterations training_iterations threads machine '
    'versions commit log'.split()
)

#: Keys of this file that fields of a row are made of.
_MADE_INTO = ('image_size', 'described', 'config', 'options')

#: Turns of the measurement of a network's time.
ROUNDS = 30

#: Turns before them.
WARMUP = 3

#: Turns of a network, all in all.
PASSES = ROUNDS + WARMUP


def surroundings() -> dict[str, str]:
    """Machine, versions and commit of a run that starts now."""
    import mmcv
    import mmengine
    import mmseg

    libraries = {'torch': torch, 'mmengine': mmengine, 'mmcv': mmcv, 'mmseg': mmseg}
    versions = [f'Python {platform.python_version()}']
    versions += [f'{name} {module.__version__}' for name, module in libraries.items()]
    return {
        'machine': machine(chosen_device()),
        'versions': ', '.join(versions),
        'commit': commit(),
    }


def chosen_device(device: str | None = None) -> str:
    """A device that was named, or a GPU if there is one, or else the CPU.

    Raises:
        ValueError: A GPU was named, and there is none.
    """
    there = torch.cuda.is_available()
    if device and device.startswith('cuda') and not there:
        raise ValueError(f'--device: expected cpu, torch sees no GPU here, got {device}')
    return device or ('cuda' if there else 'cpu')


def commit() -> str:
    """This repository's commit, with ``+`` where files differ from it; ``unknown`` without git."""
    root = Path(__file__).resolve().parents[2]

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ['git', *arguments], cwd=root, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        if Path(git('rev-parse', '--show-toplevel')) != root:
            return 'unknown'  # installed in a folder of another repository
        changed = git('status', '--porcelain', '--untracked-files=no')
        return git('rev-parse', '--short', 'HEAD') + ('+' if changed else '')
    except (OSError, subprocess.CalledProcessError):
        return 'unknown'


def result_of(work_dir: str | Path, device: str | None = None) -> Result:
    """The row of a run that was trained and scored; its network's time is measured now.

    Args:
        work_dir: Work directory of the run, with `RUN_FILE` and the scores in ``val``, if the data
            set has validation images, and ``test``.
        device: Where the time is measured; see `chosen_device`.

    Raises:
        ValueError: A file or a score is missing, or the model cannot be built or measured.
    """
    folder = Path(work_dir)
    try:
        run = read_json(folder / RUN_FILE)
    except OSError:
        raise ValueError(
            f'{folder}: expected a {RUN_FILE} that says which run this is; train and score it with '
            f'{tool_command("run_table")}'
        ) from None
    lacking = [name for name in (*_MADE_INTO, *_AS_THEY_ARE) if name not in run]
    if lacking:
        raise ValueError(f'{folder}: {RUN_FILE} lacks {", ".join(map(repr, lacking))}')
    try:
        return to_result({**_described(run), **_scores(folder), **_sizes(run, device)})
    except (KeyError, ValueError) as error:
        raise ValueError(f'{folder}: {error.args[0]}') from None


def _described(run: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that a run's file holds as they are."""
    height, width = run['image_size']
    return {
        **{name: run[name] for name in _AS_THEY_ARE},
        'config': run['described'],
        'options': ' '.join(run['options']) or NONE,
        'image_size': f'{height} x {width}',
    }


def _scores(folder: Path) -> dict[str, Any]:
    row: dict[str, Any] = {'score_val': NONE}
    for split in ('val', 'test') if (folder / 'val').is_dir() else ('test',):
        score = find_score(folder / split)
        if score is None:
            scored = tool_command('test', 'CONFIG', 'CHECKPOINT', '--work-dir', folder / split)
            raise ValueError(f'no score in {folder / split}; score the run with {scored}')
        row['metric'], row[f'score_{split}'] = score.metric, score.value
    return row


def _sizes(run: Mapping[str, Any], device: str | None) -> dict[str, Any]:
    """Graph, sizes and time of a run's network."""
    cfg = read_config(run['config'], parse_options(run['options']))
    row, model = Row(run['method']), build_segmentor(cfg)
    fill_sizes(model, row, tuple(run['image_size']))
    (milliseconds,) = _time([Method(row, model)], run, device)
    connectivity = getattr(model.decode_head, 'connectivity', None)
    return {
        'connectivity': NONE if connectivity is None else str(connectivity),
        'connections': NONE if row.connections is None else row.connections,
        **{name: getattr(row, name) for name in COSTS},
        'ms': milliseconds,
        'timed_on': machine(chosen_device(device)),
    }


def _time(
    methods: Sequence[Method],
    run: Mapping[str, Any],
    device: str | None,
    tick: Callable[[], None] = lambda: None,
) -> list[float]:
    """Median milliseconds of networks that take turns, as their table measures."""
    torch.set_num_threads(run['threads'])
    height, width = run['image_size']
    measure(methods, (height, width), chosen_device(device), ROUNDS, warmup=WARMUP, tick=tick)
    for method in methods:
        if method.row.notes or method.row.fps is None:
            raise ValueError('; '.join(method.row.notes))
    return [round(1000 / method.row.fps, 2) for method in methods if method.row.fps]


def time_together(
    results: Sequence[Result],
    tick: Callable[[], None] = lambda: None,
    device: str | None = None,
) -> list[Result]:
    """Rows with the networks' times measured anew, in turns, on this machine.

    Rows are added one by one, each with what the machine did besides at that time. A row says
    enough to build its network again: config, options, and the connections that a search found.

    Args:
        results: Rows of one table.
        tick: Called after each of the `PASSES` of each network, for a progress bar.
        device: Where they run; see `chosen_device`.

    Raises:
        ValueError: A row's network cannot be built or measured, or is another one by now; rows of
            several image sizes or numbers of threads, which no turns make alike.
    """
    if not results:
        raise ValueError('expected at least one row, got none')
    conditions = {(result.image_size, result.threads) for result in results}
    if len(conditions) > 1:
        said = ', '.join(f'{size} with {threads} threads' for size, threads in sorted(conditions))
        raise ValueError(f'expected rows of one image size and number of threads, got {said}')
    ((image_size, threads),) = conditions
    size = tuple(int(side) for side in image_size.split('x'))
    methods = [network_of(result) for result in results]
    times = _time(methods, {'threads': threads, 'image_size': size}, device, tick)
    here = machine(chosen_device(device))
    return [replace(result, ms=ms, timed_on=here) for result, ms in zip(results, times)]


def network_of(result: Result) -> Method:
    """A row's network, built again with random weights.

    Raises:
        ValueError: It cannot be built, or has other connections or parameters than the row says.
    """
    named, *found = result.config.split(' > ')
    try:
        cfg = Config.fromfile(named)
        if found:
            cfg = _config_of_found(cfg, result)
        if result.options != NONE:
            # A value in quotes may hold white space.
            override(cfg, parse_options(re.split(r' (?=[\w.]+=)', result.options)))
        model = build_segmentor(cfg)
    except Exception as error:
        raise ValueError(f'{result.title}: {named} cannot be built: {error}') from error
    graph = getattr(model.decode_head, 'connectivity', NONE)
    parameters = decoder_parameters(model.decode_head)
    if (str(graph), parameters) != (result.connectivity, result.decoder_parameters):
        raise ValueError(
            f'{result.title}: expected {result.decoder_parameters:,} decoder parameters and the '
            f'connections {result.connectivity}, got {parameters:,} and {graph} from {named}; it '
            'has changed since the run, of which the row tells'
        )
    return Method(Row(result.method), model)


def _config_of_found(search: Config, result: Result) -> Config:
    """What a search's ``retrain.py`` inherits, with the connections that the search found."""
    (hook,) = (one for one in search.custom_hooks if type_name(one).endswith('PruneHook'))
    cfg = Config.fromfile(hook.retrain_config)
    stages = {}
    for stage in result.connectivity.split(' · '):
        name, sources = stage.split(': ')
        stages[name] = sources.split()
    strides = list(build_segmentor(cfg).decode_head.connectivity.strides)
    cfg.model.decode_head.connectivity = {'strides': strides, 'stages': stages}
    return cfg


def parse_options(options: Sequence[str]) -> dict[str, Any]:
    """``key=value`` texts as ``--cfg-options`` reads them."""
    given = ['--cfg-options', *options] if options else []
    parsed: dict[str, Any] | None = cfg_options().parse_args(given).cfg_options
    return parsed or {}


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
