"""One search, every size: for each cost, the part of a supernet that scores best untrained."""

from pathlib import Path

from mmseg_sparsemask_cli.arguments import cost, out_folder, parser_of, trust_checkpoint


def parse_args(argv=None):
    parser = parser_of(
        __doc__, out_folder(said="front/ in the search's folder"), trust_checkpoint()
    )
    parser.add_argument('search', type=Path, help='work directory of a search, or its checkpoint')
    parser.add_argument(
        '--config', type=Path, help="the search's config (default: the one in its work directory)"
    )
    parser.add_argument(
        '--cost', choices=['parameters', 'multiply_adds', 'latency'], default='parameters'
    )
    parser.add_argument('--table', help='file of tools/latency_table.py, for --cost latency')
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
        '--images', type=int, default=64, help='training images to score on (default: 64)'
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
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    from mmengine.registry import init_default_scope

    import mmseg_sparsemask  # noqa: F401
    from mmseg_sparsemask.front.find import FrontSettings, find_front, search_files
    from mmseg_sparsemask.search.saved_search import read_search
    from mmseg_sparsemask.utils.errors import one_line_errors
    from mmseg_sparsemask.utils.files import check_work_dir, output_folder

    with one_line_errors():
        init_default_scope('mmseg')
        checkpoint, config = search_files(args.search, args.config)
        search = read_search(checkpoint, str(config), args.trust_checkpoint)
        out = args.out or checkpoint.parent / 'front'
        check_work_dir(out, '--out')
        names = ('cost', 'table', 'points', 'count', 'images', 'swaps', 'controls', 'validate')
        settings = FrontSettings(**{name: getattr(args, name) for name in names})
        print(find_front(search, config, output_folder(out), settings))


if __name__ == '__main__':
    main()
