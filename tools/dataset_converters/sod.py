"""Join BSDS500's train and val images with the masks of SOD: 200 to train, 100 to test."""

from mmseg_sparsemask_cli.arguments import out_folder, parser_of


def parse_args():
    parser = parser_of(__doc__, out_folder('data/SOD300'))
    parser.add_argument('bsds', help='BSDS500, the folder with images/train and images/val')
    parser.add_argument('masks', help='folder of the masks, PNG with the names of the images')
    return parser.parse_args()


def main():
    args = parse_args()
    from mmseg_sparsemask.saliency.converters import join_sod
    from mmseg_sparsemask.utils.errors import one_line_errors

    with one_line_errors():
        counts = join_sod(args.bsds, args.masks, args.out)
    print(f'{args.out}: ' + ', '.join(f'{number} {split}' for split, number in counts.items()))


if __name__ == '__main__':
    main()
