"""The main job on the embedded data set: search, prune, train on, test, in one command.

Every step is a command that a user can type; it is shown before it runs, so the same job on other
data needs nothing but another config. Two steps run at a time, on one thread each, whatever the
number of cores: so the results are the same. The same command goes on with a job that was stopped.
"""

import argparse
import time
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
CONFIGS = TOOLS.parent / 'configs/sparsemask'


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--config',
        default=CONFIGS / 'fdn_mbv2_shapes.py',
        help='search config with a PruneHook that names a retrain config (default: the one of '
        'configs/sparsemask for drawn images)',
    )
    parser.add_argument(
        '--work-dir',
        type=Path,
        default=Path('work_dirs/quickstart'),
        help='where results go (default: %(default)s)',
    )
    parser.add_argument(
        '--baseline',
        default=CONFIGS / 'unet_mbv2_shapes.py',
        metavar='CONFIG',
        help='config to train and test for comparison (default: U-Net on the same images)',
    )
    parser.add_argument(
        '--no-baseline',
        dest='baseline',
        action='store_const',
        const=None,
        help='compare with nothing',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='settings to override, handed to the command of every step',
    )
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    start = time.perf_counter()
    from mmseg_sparsemask.utils.commands import clock, end_on_signals, shown_path
    from mmseg_sparsemask.utils.errors import one_line_errors
    from mmseg_sparsemask.utils.files import check_work_dir

    end_on_signals()
    with one_line_errors():
        check_work_dir(args.work_dir)
        from mmseg_sparsemask.compare.main_job import main_job, run_main_job

        baseline = shown_path(args.baseline) if args.baseline else None
        table = main_job(shown_path(args.config), baseline, args.cfg_options)
        text = run_main_job(table, args.work_dir, TOOLS)
    print(f'\n{text}\ntotal {clock(time.perf_counter() - start)}')


if __name__ == '__main__':
    main()
