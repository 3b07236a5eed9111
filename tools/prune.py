"""Prune the supernet of a checkpoint: what PruneHook writes, with other settings, any time."""

import argparse
import os

from mmseg_sparsemask_cli.arguments import out_folder, parser_of, trust_checkpoint


def parse_args():
    parser = parser_of(__doc__, out_folder(said="the checkpoint's folder"), trust_checkpoint())
    parser.add_argument(
        'checkpoint', help='checkpoint of a search; with --budget also its work directory'
    )
    parser.add_argument(
        '--threshold',
        type=float,
        help='drop connections of smaller weight (default: as in the search)',
    )
    parser.add_argument(
        '--merge',
        action=argparse.BooleanOptionalAction,
        help='merge stages with equal inputs and drop subsumed ones (default: as in the search)',
    )
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        '--permute-seed',
        type=int,
        metavar='N',
        help='put the weights in random places first, as a control: as many connections are left, '
        'with as many parameters within 5 %%; needs --out',
    )
    instead.add_argument(
        '--connectivity',
        metavar='WHAT',
        help='cut the supernet to these connections (a connectivity.json or the name of a preset), '
        'whatever its weights say; needs --out. Of a supernet with SampledConnections they get '
        'statistics of their own, on the training images that are held back',
    )
    parser.add_argument(
        '--retrain-config',
        help='config that retrain.py inherits (default: as in the search, if it is one of this '
        'project; any other is a program, which has to be given here or trusted)',
    )
    parser.add_argument(
        '--finetune-config',
        help='config that finetune.py inherits (default: as in the search, else the retrain config '
        'with a shorter schedule)',
    )
    instead.add_argument(
        '--budget',
        metavar='KIND=LIMIT',
        help='pick the best decoder within it from the front that tools/front.py made of the '
        'search, such as parameters=150000 or multiply_adds=50e6; prunes nothing',
    )
    parser.add_argument(
        '--config', help="the search's config, for a checkpoint that does not describe its search"
    )
    args = parser.parse_args()
    for option in ('permute_seed', 'connectivity'):
        if getattr(args, option) is not None and args.out is None:
            name = option.replace('_', '-')
            parser.error(f'--{name}: name a folder with --out, beside the search itself')
    return args


def main():
    args = parse_args()
    from mmengine.registry import init_default_scope

    from mmseg_sparsemask.models.connections import SampledConnections
    from mmseg_sparsemask.search.derived import check_configs
    from mmseg_sparsemask.search.finish import finish
    from mmseg_sparsemask.search.permuted import permuted_supernet
    from mmseg_sparsemask.search.saved_search import read_search
    from mmseg_sparsemask.utils.errors import one_line_errors
    from mmseg_sparsemask.utils.files import check_work_dir, output_folder

    with one_line_errors():
        if args.budget:
            from mmseg_sparsemask.search.front_table import picked

            print(picked(args.checkpoint, args.budget, args.out))
            return
        init_default_scope('mmseg')
        names = ('threshold', 'merge', 'retrain_config', 'finetune_config')
        given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
        search = read_search(args.checkpoint, args.config, args.trust_checkpoint, **given)
        out_dir = args.out or os.path.dirname(os.path.abspath(args.checkpoint))
        check_work_dir(out_dir, '--out')
        check_configs(search.head, search.settings, out_dir)
        connectivity = search.cut(args.connectivity) if args.connectivity else search.prune()
        if args.connectivity and isinstance(search.head.connections, SampledConnections):
            from mmseg_sparsemask.front.find import search_files, with_statistics
            from mmseg_sparsemask.front.supernet import Source

            checkpoint, config = search_files(args.checkpoint, args.config)
            source = Source(search, config, output_folder(checkpoint.parent / 'front'))
            search = with_statistics(source, connectivity)
        elif args.permute_seed is not None:
            head, connectivity = permuted_supernet(search.head, connectivity, args.permute_seed)
            search = search.with_head(head, f'{search.title}, permuted with {args.permute_seed}')
        print(finish(search, connectivity, out_dir))


if __name__ == '__main__':
    main()
