"""Results of runs: add rows to a CSV file, time their networks again, or write the page."""

import os
from pathlib import Path

from mmseg_sparsemask_cli.arguments import device, out_file, parser_of

ROOT = Path(__file__).resolve().parents[1]


def parse_args(argv=None):
    parser = parser_of(__doc__)
    commands = parser.add_subparsers(dest='command', required=True)
    add = commands.add_parser('add', parents=[device()], help='add a row for each work directory')
    add.add_argument(
        'work_dirs', nargs='+', type=Path, help='work directories of runs of tools/run_table.py'
    )
    add.add_argument(
        '--csv', type=Path, required=True, help='file to add to, such as results/x.csv'
    )
    time = commands.add_parser(
        'time',
        parents=[device()],
        help="measure the networks' times again, all in turns",
        description='Builds the network of each row from the config and the options that the row '
        'names. A config is Python: do this with rows that you trust.',
    )
    time.add_argument('csv', type=Path, help='file whose ms are replaced, such as results/x.csv')
    page = commands.add_parser(
        'page',
        parents=[out_file(None, 'docs/leaderboard.md of the repository')],
        help='write a page of results and its plots, which go beside it (or into docs/images)',
    )
    page.add_argument(
        '--root', type=Path, default=ROOT, help='folder with results/ and docs/ (the repository)'
    )
    page.add_argument(
        '--csv', type=Path, nargs='+', metavar='FILE', help='your files in place of results/*.csv'
    )
    args = parser.parse_args(argv)
    if args.command == 'page' and (args.csv is None) != (args.out is None):
        parser.error('page: --csv and --out go together')
    return args


def add(args):
    from mmseg_sparsemask.compare.results import append_results
    from mmseg_sparsemask.compare.run_record import result_of

    results = [result_of(work_dir, args.device) for work_dir in args.work_dirs]
    args.csv.parent.mkdir(parents=True, exist_ok=True)
    append_results(args.csv, results)
    for result in results:
        print(
            f'{args.csv}: {result.method}, seed {result.seed}: {result.metric} '
            f'{result.score_val} val, {result.score_test} test, '
            f'{result.decoder_parameters:,} decoder parameters, '
            f'{result.ms} ms'
        )


def time(args):
    from tqdm import tqdm

    from mmseg_sparsemask.compare.results import read_results, write_results
    from mmseg_sparsemask.compare.run_record import PASSES, time_together

    results = read_results(args.csv)
    with tqdm(total=PASSES * len(results), desc='passes') as bar:
        timed = time_together(results, bar.update, args.device)
    write_results(args.csv, timed)
    for before, after in zip(results, timed):
        print(f'{after.title}: {before.ms} -> {after.ms} ms')
    print(f'written: {args.csv}')


def page(args):
    from mmseg_sparsemask.compare.leaderboard import draw_results, figure_name, page_text
    from mmseg_sparsemask.compare.plan import read_table
    from mmseg_sparsemask.compare.results import read_results
    from mmseg_sparsemask.utils.figures import save_figure
    from mmseg_sparsemask.utils.files import write_atomically

    out = args.out or args.root / 'docs/leaderboard.md'
    images = out.parent if args.out else out.parent / 'images'
    files = {path.stem: path for path in args.csv or sorted((args.root / 'results').glob('*.csv'))}
    if not files:
        raise ValueError(f'{args.root / "results"}: expected CSV files, found none')
    if args.csv and len(files) < len(args.csv):
        raise ValueError(f'--csv: expected files of different names, got {", ".join(files)}')
    tables = {stem: read_results(path) for stem, path in files.items()}
    plans = {stem: path.with_suffix('.yaml') for stem, path in files.items()}
    designs = {
        stem: read_table(path, check_configs=False).design
        for stem, path in plans.items()
        if path.exists()
    }
    plots = {stem: images / figure_name(stem) for stem in files}
    places = {
        stem: tuple(Path(os.path.relpath(p, out.parent)).as_posix() for p in (plot, files[stem]))
        for stem, plot in plots.items()
    }
    images.mkdir(parents=True, exist_ok=True)
    for stem, results in tables.items():
        if results:
            save_figure(draw_results(results), plots[stem])
    write_atomically(out, page_text(tables, designs, places))
    print(f'written: {out}')


def main(argv=None):
    args = parse_args(argv)
    from mmseg_sparsemask.utils.errors import one_line_errors

    with one_line_errors():
        {'add': add, 'time': time, 'page': page}[args.command](args)


if __name__ == '__main__':
    main()
