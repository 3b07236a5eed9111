"""Look at a decoder on another backbone: what matches, what is dropped, the resulting graph."""

from mmseg_sparsemask_cli.arguments import out_folder, parser_of


def parse_args(argv=None):
    parser = parser_of(__doc__, out_folder(said='nothing is written'))
    parser.add_argument(
        'connectivity',
        help='a connectivity.json, or a preset: fdn, unet, flat, segformer, fpn, sparse_acn, '
        'sparsemask_mbv2_voc, or one '
        'of --imports',
    )
    parser.add_argument(
        '--strides',
        type=int,
        nargs='+',
        required=True,
        metavar='S',
        help="strides of the backbone's features, finest first, for example 4 8 16 32",
    )
    parser.add_argument(
        '--imports',
        nargs='+',
        default=[],
        metavar='MODULE',
        help='modules to import first, which add presets of their own to PRESETS',
    )
    return parser.parse_args(argv)


def describe(connectivity):
    from mmseg_sparsemask.utils.words import counted

    lines = [f'{counted(len(connectivity), "connection")}, strides {list(connectivity.strides)}']
    lines += [f'  {stage}: {" ".join(srcs)}' for stage, srcs in connectivity.stages.items()]
    return '\n'.join(lines)


def main(argv=None):
    args = parse_args(argv)
    from mmengine.utils import import_modules_from_strings

    from mmseg_sparsemask.connectivity import PRESETS, resolve, save, transfer_report
    from mmseg_sparsemask.connectivity.draw import draw_graph
    from mmseg_sparsemask.utils.errors import one_line_errors
    from mmseg_sparsemask.utils.figures import save_figure

    with one_line_errors():
        import_modules_from_strings(args.imports)
        own = args.strides if args.connectivity in PRESETS else None
        source = resolve(args.connectivity, own)
        report = transfer_report(source, args.strides)
        print(f'from {args.connectivity}: {describe(source)}')
        print('matches')
        for level, match in enumerate(report.levels, 1):
            found = 'no feature of this stride' if match is None else f'E{match}'
            print(f'  E{level} (stride {source.strides[level - 1]}) -> {found}')
        print('dropped')
        for line in report.dropped or ['nothing']:
            print(f'  {line}')
        print(f'result: {describe(report.connectivity)}')
        print(
            f'in a config: connectivity=dict(source={args.connectivity!r}, '
            f'strides={list(report.connectivity.strides)})'
        )
        if args.out:
            args.out.mkdir(parents=True, exist_ok=True)
            save(report.connectivity, args.out / 'connectivity.json')
            save_figure(draw_graph(report.connectivity), args.out / 'connectivity.svg')
            print(f'written: {args.out / "connectivity.json"}, {args.out / "connectivity.svg"}')


if __name__ == '__main__':
    main()
