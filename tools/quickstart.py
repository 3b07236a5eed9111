"""The main job on the embedded data set: search, prune, train on, test, in one command.

Every step is a command that a user can type; it is shown before it runs, so the same job on other
data needs nothing but another config. Two steps run at a time, on one thread each, whatever the
number of cores: so the results are the same. The same command goes on with a job that was stopped.
"""

import time
from pathlib import Path

from mmseg_sparsemask_cli.arguments import cfg_options, parser_of, work_dir

TOOLS = Path(__file__).resolve().parent
CONFIGS = TOOLS.parent / 'configs/sparsemask'


def parse_args(argv=None):
    parser = parser_of(__doc__, work_dir('work_dirs/quickstart'), cfg_options('all configs'))
    parser.add_argument(
        '--config',
        default=CONFIGS / 'fdn_mbv2_shapes.py',
        help='search config with a PruneHook that names a retrain config (default: the one of '
        'configs/sparsemask for drawn images)',
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
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    start = time.perf_counter()
    from mmseg_sparsemask.utils.commands import clock, end_on_signals, shown_path
    from mmseg_sparsemask.utils.errors import one_line_errors
    from mmseg_sparsemask.utils.files import check_work_dir

    end_on_signals()
    with one_line_errors():
        work_dir = Path(args.work_dir or 'work_dirs/quickstart')
        check_work_dir(work_dir)
        from mmseg_sparsemask.compare.main_job import main_job, run_main_job

        baseline = shown_path(args.baseline) if args.baseline else None
        table = main_job(shown_path(args.config), baseline, args.cfg_options or {})
        text = run_main_job(table, work_dir, TOOLS)
    print(f'\n{text}\ntotal {clock(time.perf_counter() - start)}')


if __name__ == '__main__':
    main()
