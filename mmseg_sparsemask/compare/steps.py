"""The steps of a table's runs: search, training and tests, each a command that a user can type."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from threading import Event
from typing import Any

from mmseg_sparsemask.compare.plan import (
    USES,
    Entry,
    Run,
    Search,
    Table,
    as_arguments,
)
from mmseg_sparsemask.compare.run_record import (
    RUN_FILE,
    log_of,
    parse_options,
    read_run,
    surroundings,
)
from mmseg_sparsemask.connectivity import DecoderShape, load, save
from mmseg_sparsemask.connectivity.controls import like
from mmseg_sparsemask.connectivity.io import resolve
from mmseg_sparsemask.search.front_table import pick, read_points
from mmseg_sparsemask.search.schedule import scaled_schedules
from mmseg_sparsemask.utils.checkpoints import LAST_CHECKPOINT
from mmseg_sparsemask.utils.commands import call_tool, run_tool, shown_path
from mmseg_sparsemask.utils.files import read_json, write_json
from mmseg_sparsemask.utils.read_config import decode_head_of, read_config
from mmseg_sparsemask.utils.work_dir import is_locked

#: Iterations between checkpoints, so that a run that is stopped loses little.
CHECKPOINT_INTERVAL = 100


class BusyError(Exception):
    """A work directory is in use by a process that is none of this table's."""


class Steps:
    """Runs the steps of a table, each of which is done once; what was stopped is resumed.

    Args:
        table: What to run.
        root: Folder of all work directories.
        tools: Folder of the tools.
        stop: Ends the step that runs when another thread sets it.
    """

    def __init__(self, table: Table, root: Path, tools: Path, stop: Event) -> None:
        self.table = table
        self.root = root
        self.tools = tools
        self.stop = stop
        threads = str(table.threads)
        self.env = dict(os.environ, OMP_NUM_THREADS=threads, MKL_NUM_THREADS=threads)
        self.surroundings = surroundings()

    def search(self, name: str, seed: int) -> None:
        """Search unless that is done."""
        search, title = self.table.searches[name], f'search {name}, seed {seed}'
        options, about = self._options(search, seed), {'threads': self.table.threads}
        work_dir = self.search_dir(name, seed)
        self._train(title, search.config, work_dir, search.iterations, options, about)

    def front(self, name: str, seed: int) -> None:
        """Find the front of a search, at all points of the table, unless that is done."""
        found, entries = self.search_dir(name, seed), self.table.entries
        points = sorted({e.point for e in entries if e.point and name in (e.search, e.size_of)})
        more = self.table.searches[name].front
        done, wanted = found / 'front' / 'points.json', [*points, *more]
        if not done.is_file() or read_json(done) != wanted:
            title, asked = f'front of search {name}, seed {seed}', ['--points', *map(str, points)]
            self.call(title, 'front.py', found, '--trust-checkpoint', *asked, *more)
            write_json(done, wanted)

    def run(self, run: Run) -> Path:
        """Train and score a run whose search is done; return its work directory.

        Raises:
            ValueError: The work directory holds another run.
            BusyError: A process outside the table uses it.
            SystemExit: A step failed or was stopped.
        """
        entry, table = run.entry, self.table
        work_dir = run.work_dir(self.root)
        config, options = self._start_of(run)
        title = f'{entry.method}, {entry.training}, seed {run.seed}'
        about = {
            'method': entry.method,
            'training': entry.training,
            'seed': run.seed,
            'data': table.data,
            'encoder': table.encoder,
            'image_size': list(table.image_size),
            'threads': table.threads,
            'search_iterations': run.search_iterations(table),
            'training_iterations': entry.iterations,
            'described': self._described(config, run),
        }
        if entry.iterations:
            checkpoint = self._train(title, config, work_dir, entry.iterations, options, about)
        else:
            found = self.search_dir(entry.search or '', run.search_seed)
            checkpoint = Path(config).parent / 'pruned.pth'
            record = self._record(work_dir, config, 0, options, about)
            write_json(work_dir / RUN_FILE, {**record, 'log': log_of(found), 'finished': True})
        for split, extra in (('val', table.val_options), ('test', {})):
            # What is scored once is not scored again.
            folder = work_dir / split
            if extra is not None and not any(folder.glob('*/*.json')):
                given = (config, checkpoint)
                self._tool(f'{title}: {split}', 'test.py', folder, {**options, **extra}, *given)
        return work_dir

    def call(self, title: str, name: str, *arguments: str | Path) -> None:
        """Run a tool with the table's number of threads and its own output."""
        call_tool(title, shown_path(self.tools / name), *arguments, env=self.env, stop=self.stop)

    def search_dir(self, name: str, seed: int) -> Path:
        """Work directory of a search."""
        return self.root / name / f'seed{seed}'

    def _options(self, settings: Entry | Search, seed: int) -> dict[str, Any]:
        return {**self.table.options, **settings.options, 'randomness.seed': seed}

    def _tool(
        self,
        title: str,
        name: str,
        work_dir: Path,
        options: Mapping[str, Any],
        *arguments: str | Path,
        total: int = 0,
    ) -> float:
        """Run a tool in a work directory, unless a stranger uses that; return the seconds."""
        busy = BusyError(f'{title}: {work_dir} is in use by another process')
        if is_locked(work_dir):
            raise busy
        try:
            return run_tool(
                title,
                shown_path(self.tools / name),
                *arguments,
                work_dir=work_dir,
                total=total,
                options=as_arguments(options),
                env=self.env,
                stop=self.stop,
            )
        except SystemExit:
            # It may have been taken in between.
            if is_locked(work_dir):
                raise busy from None
            raise

    def _train(
        self,
        title: str,
        config: str | Path,
        work_dir: Path,
        iterations: int,
        options: Mapping[str, Any],
        about: Mapping[str, Any],
    ) -> Path:
        """Train unless that is done; return the checkpoint."""
        options = {**schedule_options(read_config(config), iterations), **options}
        run = self._record(work_dir, config, iterations, options, about)
        write_json(work_dir / RUN_FILE, run)
        if not run.get('finished'):
            given = (config, '--resume')
            run['seconds'] += self._tool(
                title, 'train.py', work_dir, options, *given, total=iterations
            )
            run['log'] = log_of(work_dir)
            write_json(work_dir / RUN_FILE, {**run, 'finished': True})
        return last_checkpoint(work_dir)

    def _record(
        self,
        work_dir: Path,
        config: str | Path,
        iterations: int,
        options: Mapping[str, Any],
        about: Mapping[str, Any],
    ) -> dict[str, Any]:
        """What a work directory, which is made, has of a run, or is to have."""
        wanted = {**about, 'config': str(config), 'options': as_arguments(options)}
        known = read_run(work_dir)
        for key, value in wanted.items():
            if known and known.get(key) != value:
                raise ValueError(
                    f'{work_dir} holds a run with {key} = {known.get(key)!r}, the table asks for '
                    f'{value!r}; remove it, or take another folder'
                )
        work_dir.mkdir(parents=True, exist_ok=True)
        return known or {**wanted, **self.surroundings, 'iterations': iterations, 'seconds': 0}

    def _start_of(self, run: Run) -> tuple[str | Path, dict[str, Any]]:
        """Config and options of a run, from whatever it starts with."""
        entry, options = run.entry, self._options(run.entry, run.seed)
        if entry.search is None:
            if entry.size_of:
                options.update(self._size_options(run))
            return entry.config or '', options
        found = self.search_dir(entry.search, run.search_seed)
        config = USES[entry.use or '']
        if entry.use != 'retrain':
            # All weights are in pruned.pth: finetune.py names no others that could be overridden.
            options = {k: v for k, v in options.items() if 'init_cfg' not in k.split('.')}
        if not entry.control:
            return self._found(run) / config, options
        folder = run.work_dir(self.root).parent
        # The config is written after the weights.
        if not all((folder / name).is_file() for name in ('pruned.pth', config)):
            folder.mkdir(parents=True, exist_ok=True)
            if entry.control == 'permuted':
                how = ('--permute-seed', str(run.seed))
            else:
                shape, settings = self._like_found(run, self.table.searches[entry.search])
                save(resolve(settings, shape=shape), folder / 'random.json')
                how = ('--connectivity', str(folder / 'random.json'))
            title = f'{entry.method}, seed {run.seed}: prune'
            checkpoint = last_checkpoint(found)
            self.call(title, 'prune.py', checkpoint, '--trust-checkpoint', *how, '--out', folder)
        return folder / config, options

    def _size_options(self, run: Run) -> dict[str, Any]:
        """Seed and costs of a run's random decoder."""
        _, settings = self._like_found(run, run.entry)
        return {
            f'model.decode_head.connectivity.{key}': value
            for key, value in settings.items()
            if key != 'source'
        }

    def _like_found(self, run: Run, of: Entry | Search) -> tuple[DecoderShape, dict[str, Any]]:
        """Shape of a config's decoder, and a random one that costs what a run's search found."""
        # Options may make it wider.
        options = parse_options(as_arguments(self._options(of, run.seed)))
        cfg = read_config(of.config or '', options)
        head = decode_head_of(cfg)
        shape = DecoderShape.of_head(head, head.strides)
        found = load(self._found(run) / 'connectivity.json')
        same = run.entry.same_inputs
        return shape, like(found, shape, run.seed, self.table.image_size, same_inputs=same)

    def _found(self, run: Run) -> Path:
        """Folder of what a run's search found, or of the point of its front."""
        found = self.search_dir(run.search or '', run.search_seed)
        if run.entry.point is None:
            return found
        front = found / 'front'
        return pick(read_points(front), 'parameters', run.entry.point).path(front)

    def _described(self, config: str | Path, run: Run) -> str:
        """Where a run's config came from, for people who want to run it again."""
        entry = run.entry
        if entry.search is None:
            return str(config)
        search = self.table.searches[entry.search]
        steps = [search.config]
        if entry.point:
            steps.append(' '.join(['tools/front.py --points', str(entry.point), *search.front]))
        if entry.control == 'permuted':
            steps.append(f'tools/prune.py --permute-seed {run.seed}')
        elif entry.control:
            steps.append(f'tools/prune.py --connectivity random.json (seed {run.seed})')
        return ' > '.join([*steps, Path(config).name])


def schedule_options(config: Mapping[str, Any], iterations: int) -> dict[str, Any]:
    """What gives a config a number of iterations, and leaves the validation to the end.

    Args:
        config: Its content; schedulers keep their shape.
        iterations: Iterations of the training.

    Raises:
        ValueError: The config counts epochs, or has a schedule of another kind than MMEngine's.
    """
    before = config.get('train_cfg', {}).get('max_iters')
    if before is None:
        raise ValueError(
            'expected a config that counts iterations (train_cfg.max_iters), got '
            f'{dict(config.get("train_cfg", {}))}'
        )
    options = {
        'train_cfg.max_iters': iterations,
        'train_cfg.val_interval': iterations + 1,
        'default_hooks.checkpoint.interval': min(iterations, CHECKPOINT_INTERVAL),
    }
    given = config.get('param_scheduler') or []
    alone = isinstance(given, Mapping)
    scaled = scaled_schedules(config, iterations / before)
    for place, (old, new) in enumerate(zip([given] if alone else given, scaled)):
        where = 'param_scheduler' if alone else f'param_scheduler.{place}'
        for key, value in old.items():
            # Ends that do not change are written, too: a run that began with them goes on.
            if key in ('begin', 'end') and value or key != 'type' and new[key] != value:
                options[f'{where}.{key}'] = new[key]
    return options


def last_checkpoint(work_dir: Path) -> Path:
    """The last checkpoint of a training, wherever its work directory lies now."""
    return work_dir / Path((work_dir / LAST_CHECKPOINT).read_text().strip()).name
