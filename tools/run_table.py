"""Train and score the methods of a table one after another; can be stopped and goes on.

Every step is a command that a user can type; it is shown before it runs. A training that was
stopped is resumed, and a row whose results are there is left alone. Where a machine has room for
several runs at once, start the same command several times: each takes what no other has taken.
"""

import argparse
import json
import os
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path

TOOLS = Path(__file__).resolve().parent

#: Hidden folder of the files that say which runs and searches a process has taken.
TAKEN = '.taken'

#: Seconds until a process for which nothing is left looks again.
POLL = 5.0


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('table', type=Path, help='YAML file, such as results/camvid.yaml')
    parser.add_argument(
        '--work-dir', type=Path, help='where runs go (default: work_dirs/<name of the table>)'
    )
    parser.add_argument(
        '--results', type=Path, help='CSV file to add rows to (default: beside the table)'
    )
    parser.add_argument('--only', nargs='+', default=[], metavar='NAME', help='entries to run')
    parser.add_argument('--list', action='store_true', help='show what would run, and run nothing')
    return parser.parse_args(argv)


def shown_path(path):
    """A path as a user would type it: relative when it lies below the working directory."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith(os.pardir) else relative


class Runs:
    """Runs the steps of a table, each of which is done once.

    Args:
        table: What to run.
        root: Folder of all work directories.
    """

    def __init__(self, table, root):
        from mmseg_sparsemask.compare.gather import surroundings

        self.table = table
        self.root = root
        threads = str(table.threads)
        self.env = dict(os.environ, OMP_NUM_THREADS=threads, MKL_NUM_THREADS=threads)
        self.surroundings = surroundings()

    def tool(self, title, name, *arguments, work_dir, total=0, options=None):
        """Run one of the tools beside this one with the table's number of threads."""
        from mmseg_sparsemask.compare.plan import as_arguments
        from mmseg_sparsemask.utils.commands import run_tool

        return run_tool(
            title,
            shown_path(TOOLS / name),
            *map(str, arguments),
            work_dir=work_dir,
            total=total,
            options=as_arguments(options or {}),
            env=self.env,
        )

    def search_dir(self, name, seed):
        """Work directory of a search."""
        return self.root / name / f'seed{seed}'

    def train(self, title, config, work_dir, iterations, options, about):
        """Train unless that is done; return the checkpoint."""
        from mmengine.config import Config

        from mmseg_sparsemask.compare.gather import RUN_FILE, log_of, read_run
        from mmseg_sparsemask.compare.plan import as_arguments, schedule_options
        from mmseg_sparsemask.utils.files import write_json

        options = {**schedule_options(Config.fromfile(config), iterations), **options}
        wanted = {**about, 'config': str(config), 'options': as_arguments(options)}
        known = read_run(work_dir)
        for key, value in wanted.items():
            if known and known.get(key) != value:
                raise SystemExit(
                    f'error: {work_dir} holds a run with {key} = {known.get(key)!r}, the table '
                    f'asks for {value!r}; remove it, or choose another --work-dir'
                )
        run = known or {**wanted, **self.surroundings, 'iterations': iterations, 'seconds': 0}
        work_dir.mkdir(parents=True, exist_ok=True)
        write_json(work_dir / RUN_FILE, run)
        if not run.get('finished'):
            arguments = (config, '--resume')
            run['seconds'] += self.tool(
                title, 'train.py', *arguments, work_dir=work_dir, total=iterations, options=options
            )
            run['log'] = log_of(work_dir)
            write_json(work_dir / RUN_FILE, {**run, 'finished': True})
        return work_dir / Path((work_dir / 'last_checkpoint').read_text().strip()).name

    def search(self, name, seed):
        """Search unless that is done; return its work directory."""
        search, work_dir = self.table.searches[name], self.search_dir(name, seed)
        options = {**self.table.options, **search.options, 'randomness.seed': seed}
        self.train(
            f'search {name}, seed {seed}',
            search.config,
            work_dir,
            search.iterations,
            options,
            {'threads': self.table.threads},
        )
        return work_dir

    def start_of(self, run):
        """Config, work directory and options of a run's training, from whatever it starts with."""
        from mmseg_sparsemask.compare.plan import USES
        from mmseg_sparsemask.utils.commands import call_tool

        entry = run.entry
        options = {**self.table.options, **entry.options, 'randomness.seed': run.seed}
        own_dir = self.root / entry.name / f'seed{run.seed}'
        if entry.search is None:
            return entry.config, own_dir, options
        found = self.search_dir(entry.search, run.search_seed)
        if not entry.permuted:
            return found / USES[entry.use], found / entry.name, options
        if not (own_dir / 'pruned.pth').is_file():
            checkpoint = found / Path((found / 'last_checkpoint').read_text().strip()).name
            title = f'{entry.method}, seed {run.seed}: permute'
            seed = ('--permute-seed', str(run.seed), '--out', own_dir)
            own_dir.mkdir(parents=True, exist_ok=True)
            call_tool(title, shown_path(TOOLS / 'prune.py'), checkpoint, *seed, env=self.env)
        return own_dir / USES[entry.use], own_dir / 'trained', options

    def size_options(self, run):
        """Seed and costs of a run's random decoder."""
        from mmengine.config import Config

        from mmseg_sparsemask.connectivity import DecoderShape, load
        from mmseg_sparsemask.connectivity.controls import like

        found = self.search_dir(run.entry.size_of, run.search_seed) / 'connectivity.json'
        head = Config.fromfile(run.entry.config).model.decode_head
        shape = DecoderShape(head.strides, head.in_channels, head.channels, head.num_classes)
        settings = like(load(found), shape, run.seed, self.table.image_size)
        return {
            f'model.decode_head.connectivity.{key}': value
            for key, value in settings.items()
            if key != 'source'
        }

    def run(self, run):
        """Train and score a run; return its work directory."""
        from mmseg_sparsemask.compare.gather import RUN_FILE, log_of, read_run
        from mmseg_sparsemask.compare.plan import as_arguments
        from mmseg_sparsemask.utils.files import write_json

        entry, table = run.entry, self.table
        search = table.searches[entry.search] if entry.search else None
        if run.search is not None:
            found = self.search_dir(run.search, run.search_seed)
        config, work_dir, options = self.start_of(run)
        if entry.size_of:
            options.update(self.size_options(run))
        title = f'{entry.method}, {entry.training}, seed {run.seed}'
        about = {
            'method': entry.method,
            'training': entry.training,
            'seed': run.seed,
            'data': table.data,
            'encoder': table.encoder,
            'image_size': list(table.image_size),
            'threads': table.threads,
            'search_iterations': search.iterations if search else 0,
            'training_iterations': entry.iterations,
            'described': described(entry, search, config, run),
        }
        if entry.iterations:
            checkpoint = self.train(title, config, work_dir, entry.iterations, options, about)
        else:
            checkpoint = Path(config).parent / 'pruned.pth'
            if not read_run(work_dir):
                work_dir.mkdir(parents=True, exist_ok=True)
                known = {'config': str(config), 'options': as_arguments(options)}
                known.update(self.surroundings, log=log_of(found), iterations=0, seconds=0)
                write_json(work_dir / RUN_FILE, {**about, **known, 'finished': True})
        for split, extra in (('val', table.val_options), ('test', {})):
            # What is scored once is not scored again.
            if extra is not None and not any((work_dir / split).glob('*/*.json')):
                self.tool(
                    f'{title}: {split}',
                    'test.py',
                    config,
                    checkpoint,
                    work_dir=work_dir / split,
                    options={**options, **extra},
                )
        return work_dir


def described(entry, search, config, run):
    """Where a run's config came from, for people who want to run it again."""
    if search is None:
        return entry.config
    steps = [search.config]
    if entry.permuted:
        steps.append(f'tools/prune.py --permute-seed {run.seed}')
    return ' > '.join([*steps, Path(config).name])


def iterations_left(table, root, runs):
    """Iterations that runs still need, with each search once; and those done, with their seconds.

    Args:
        table: The table.
        root: Folder of all work directories.
        runs: Those without a row of results.
    """
    needed = sum(run.entry.iterations for run in runs)
    searches = {(run.search, run.search_seed) for run in runs if run.search is not None}
    for name, seed in searches:
        if not json_of(root / name / f'seed{seed}' / 'run.json').get('finished'):
            needed += table.searches[name].iterations
    records = [json_of(path) for path in root.rglob('run.json')]
    done = [record for record in records if record.get('finished') and record['iterations']]
    return needed, sum(r['iterations'] for r in done), sum(r['seconds'] for r in done)


def json_of(path):
    return json.loads(path.read_text()) if path.is_file() else {}


def remaining(table, results, runs):
    """Runs whose row is not there yet."""
    from mmseg_sparsemask.compare.results import read_results

    known = {(r.group, r.seed) for r in read_results(results)} if results.exists() else set()

    def key(run):
        entry = run.entry
        search = table.searches[entry.search].iterations if entry.search else 0
        return (entry.method, entry.training, search, entry.iterations), run.seed

    return [run for run in runs if key(run) not in known]


def progress(table, root, runs, total):
    """A line on how far the table is and how long it will take."""
    from mmseg_sparsemask.utils.commands import clock

    needed, iterations, seconds = iterations_left(table, root, runs)
    eta = clock(needed * seconds / iterations) if iterations else 'not known yet'
    return f'{total - len(runs)} of {total} rows done, eta {eta} ({needed:,} iterations)'


def main(argv=None):
    args = parse_args(argv)
    from mmseg_sparsemask.compare.plan import read_table, runs_of
    from mmseg_sparsemask.utils.errors import one_line_errors

    # Whoever ends this ends the command that is running too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with one_line_errors():
        table = read_table(args.table)
        runs = runs_of(table, args.only)
        results = args.results or args.table.with_suffix('.csv')
        root = args.work_dir or Path('work_dirs') / table.name
        left = remaining(table, results, runs)
        if args.list:
            for run in left:
                print(f'{run.entry.name}, seed {run.seed}: {run.entry.iterations} iterations')
            print(progress(table, root, left, len(runs)))
            return
        run_all(table, root, results, runs)
    print(f'\n{results} has all rows; python tools/results.py page writes the page')


def run_all(table, root, results, runs):
    """Run what has no row yet, until all have one; other processes may do the same."""
    from mmseg_sparsemask.utils.commands import clock

    (root / TAKEN).mkdir(parents=True, exist_ok=True)
    runner = Runs(table, root)
    begun = time.perf_counter()
    while left := remaining(table, results, runs):
        print(f'\n#### {progress(table, root, left, len(runs))}', flush=True)
        if not any(take(runner, run, results) for run in left):
            print('#### the rest is being run by other processes', flush=True)
            time.sleep(POLL)
    print(f'\n#### {len(runs)} of {len(runs)} rows done, {clock(time.perf_counter() - begun)}')


@contextmanager
def taken(root, name, timeout=0):
    """Context in which no other process has the run or search of a name.

    The operating system holds the lock, so it ends with the process, however that ends.

    Raises:
        filelock.Timeout: Another process has it.
    """
    from filelock import FileLock

    with FileLock(root / TAKEN / f'{name}.lock', timeout=timeout):
        yield


def take(runner, run, results):
    """Run, unless another process has the run or its search; return whether this was done."""
    from filelock import Timeout

    try:
        with taken(runner.root, f'{run.entry.name}-seed{run.seed}'):
            if run.search is not None:
                with taken(runner.root, f'{run.search}-seed{run.search_seed}'):
                    runner.search(run.search, run.search_seed)
            if remaining(runner.table, results, [run]):
                work_dir = runner.run(run)
                add_row(runner, work_dir, results)
    except Timeout:
        return False
    return True


def add_row(runner, work_dir, results):
    """Add a run's row, which a process of its own makes with the table's number of threads."""
    from mmseg_sparsemask.compare.results import append_results, read_results
    from mmseg_sparsemask.utils.commands import call_tool

    row = work_dir / 'row.csv'
    row.unlink(missing_ok=True)
    tool = shown_path(TOOLS / 'results.py')
    call_tool('results', tool, 'add', work_dir, '--csv', row, env=runner.env)
    # Other processes wait here, so this is no place for anything that takes long.
    results.parent.mkdir(parents=True, exist_ok=True)
    with taken(runner.root, 'results', timeout=-1):
        append_results(results, read_results(row))


if __name__ == '__main__':
    main()
