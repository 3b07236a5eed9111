"""Convert a mask of the authors' SparseMask implementation (.npy) to connectivity.json."""

from pathlib import Path

from mmseg_sparsemask_cli.arguments import out_file, parser_of


def parse_args(argv=None):
    parser = parser_of(__doc__, out_file('connectivity.json'))
    parser.add_argument('mask', type=Path, help='boolean array (L, L, 2) in an .npy file')
    parser.add_argument(
        '--strides',
        type=int,
        nargs='+',
        required=True,
        metavar='S',
        help='strides of E1 .. EL, which the mask does not hold; MobileNet-V2 as in the paper: '
        '2 2 4 8 16 16 32 32 32',
    )
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    from mmseg_sparsemask.connectivity import from_npy, save
    from mmseg_sparsemask.utils.errors import one_line_errors
    from mmseg_sparsemask.utils.words import counted

    with one_line_errors():
        connectivity = from_npy(args.mask, args.strides)
        save(connectivity, args.out)
    print(f'{counted(len(connectivity), "connection")}: {connectivity}')
    print(f'written: {args.out}')


if __name__ == '__main__':
    main()
