"""One search, every size: for each cost, the part of a supernet that scores best untrained."""

from dataclasses import fields
from pathlib import Path

from mmseg_sparsemask_cli.arguments import cost, out_folder, parser_of, trust_checkpoint


def parse_args(argv=None):
    parser = parser_of(
        __doc__,
        out_folder(said="front/ in the search's folder; several searches need one"),
        trust_checkpoint(),
    )
    parser.add_argument(
        'searches',
        type=Path,
        nargs='+',
        metavar='SEARCH',
        help='work directory of a search, or its checkpoint; several join in one front, by what '
        'the whole network costs',
    )
    parser.add_argument(
        '--config', type=Path, help="the search's config (default: the one in its work directory)"
    )
    parser.add_argument(
        '--cost',
        choices=['parameters', 'multiply_adds', 'latency'],
        help='what the points cost (default: parameters; of several searches multiply_adds, or '
        'latency with --table)',
    )
    parser.add_argument(
        '--table',
        nargs='+',
        default=[],
        metavar='FILE',
        help='file of tools/latency_table.py, one for each search: gives the milliseconds of the '
        'points, and is needed for --cost latency',
    )
    parser.add_argument(
        '--points',
        type=cost,
        nargs='+',
        default=[],
        metavar='COST',
        help='budgets, such as 50k 100k or 30ms (default: --count of them at equal ratios)',
    )
    parser.add_argument('--count', type=int, default=12, help='number of points (default: 12)')
    parser.add_argument(
        '--held-back',
        dest='images',
        type=int,
        default=64,
        metavar='N',
        help='training images that are held back to score on (default: 64)',
    )
    parser.add_argument(
        '--swaps', type=int, default=30, help='swaps to score for each point (default: 30)'
    )
    parser.add_argument(
        '--controls',
        type=int,
        default=0,
        metavar='N',
        help='random decoders with the parameters and multiply-adds of a point, to score beside it',
    )
    parser.add_argument(
        '--validate', action='store_true', help='validate each point with the inherited weights'
    )
    parser.add_argument(
        '--rerank',
        type=int,
        nargs='?',
        const=100,
        default=0,
        metavar='ITERATIONS',
        help='train the most promising decoders of each budget, and swaps of the best, for so many '
        'iterations on features that are kept, and rank by the loss after it (default: 100): '
        'takes minutes more, and says more about a long training',
    )
    parser.add_argument(
        '--why',
        type=int,
        nargs='?',
        const=50,
        default=0,
        metavar='IMAGES',
        help='also find out what each connection of a point is worth, and what each other one '
        'would add, on so many validation images (default: 50)',
    )
    args = parser.parse_args(argv)
    several = len(args.searches) > 1
    if args.cost is None:
        args.cost = 'parameters' if not several else 'latency' if args.table else 'multiply_adds'
    if args.rerank < 0:
        parser.error(f'--rerank: expected at least 1 iteration, got {args.rerank}')
    if several and (args.out is None or args.config is not None):
        parser.error('several searches need a folder with --out, and have configs of their own')
    if several and args.cost == 'parameters':
        parser.error('several searches are joined by --cost multiply_adds or latency')
    if args.table and len(args.table) != len(args.searches):
        parser.error(f'--table: expected one for each search, got {len(args.table)}')
    return args


def main(argv=None):
    args = parse_args(argv)
    from mmengine.registry import init_default_scope

    import mmseg_sparsemask  # noqa: F401
    from mmseg_sparsemask.front.find import find_fronts, search_files
    from mmseg_sparsemask.front.supernet import FrontSettings, Source
    from mmseg_sparsemask.search.saved_search import read_search
    from mmseg_sparsemask.utils.errors import one_line_errors
    from mmseg_sparsemask.utils.files import check_work_dir, output_folder
    from mmseg_sparsemask.utils.memory import keep_freed_memory

    with one_line_errors():
        init_default_scope('mmseg')
        keep_freed_memory()
        sources = []
        for place, path in enumerate(args.searches):
            checkpoint, config = search_files(path, args.config)
            search = read_search(checkpoint, str(config), args.trust_checkpoint)
            folder = checkpoint.parent / 'front'
            if len(args.searches) == 1 and args.out:
                folder = args.out
            check_work_dir(folder, '--out')
            table = args.table[place] if args.table else None
            sources.append(Source(search, config, output_folder(folder), table))
        out = args.out or sources[0].folder
        check_work_dir(out, '--out')
        names = [field.name for field in fields(FrontSettings) if field.name != 'whole']
        settings = FrontSettings(**{name: getattr(args, name) for name in names})
        print(find_fronts(sources, output_folder(out), settings))


if __name__ == '__main__':
    main()
