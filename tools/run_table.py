"""Train and score the methods of a table one after another; can be stopped and goes on.

Every step is a command that a user can type; it is shown before it runs. A training that was
stopped is resumed, and a row whose results are there is left alone. Where a machine has room for
several runs at once, start the same command several times: each takes what no other has taken.
"""

from pathlib import Path

from mmseg_sparsemask_cli.arguments import parser_of, work_dir

TOOLS = Path(__file__).resolve().parent


def parse_args(argv=None):
    parser = parser_of(__doc__, work_dir('work_dirs/<name of the table>'))
    parser.add_argument('table', type=Path, help='YAML file, such as results/voc-animals_mbv2.yaml')
    parser.add_argument(
        '--results', type=Path, help='CSV file to add rows to (default: beside the table)'
    )
    parser.add_argument('--only', nargs='+', default=[], metavar='NAME', help='entries to run')
    parser.add_argument(
        '--processes', type=int, default=1, metavar='N', help='runs at a time (default: 1)'
    )
    parser.add_argument('--list', action='store_true', help='show what would run, and run nothing')
    args = parser.parse_args(argv)
    if args.processes < 1:
        parser.error(f'--processes: expected at least 1, got {args.processes}')
    return args


def main(argv=None):
    args = parse_args(argv)
    from mmseg_sparsemask.utils.commands import end_on_signals
    from mmseg_sparsemask.utils.errors import one_line_errors

    end_on_signals()
    with one_line_errors():
        run(args)


def run(args):
    from mmseg_sparsemask.compare.plan import read_table, runs_of
    from mmseg_sparsemask.compare.runner import TableRunner
    from mmseg_sparsemask.utils.tool_command import tool_command

    table = read_table(args.table)
    results = args.results or args.table.with_suffix('.csv')
    root = Path(args.work_dir or f'work_dirs/{table.name}')
    runner = TableRunner(table, runs_of(table, args.only), root, results, TOOLS)
    if args.list:
        left = runner.remaining()
        for run in left:
            print(f'{run.entry.name}, seed {run.seed}: {run.entry.iterations} iterations')
        print(runner.progress(left))
        return
    runner.run(args.processes)
    own = results.resolve().parent != TOOLS.parent / 'results'
    where = ('--csv', results, '--out', results.with_suffix('.md')) if own else ()
    print(f'\n{results} has all rows; {tool_command("results", "page", *where)} writes the page')


if __name__ == '__main__':
    main()
