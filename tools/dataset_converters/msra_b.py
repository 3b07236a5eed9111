"""Sort MSRA-B into ``images/<split>`` and ``masks/<split>`` by its 2,500/500/2,000 lists."""

from mmseg_sparsemask_cli.arguments import out_folder, parser_of


def parse_args():
    parser = parser_of(__doc__, out_folder('data/MSRA-B'))
    parser.add_argument('source', help='the unpacked download, images and masks together')
    parser.add_argument('--train', required=True, help='list of the 2,500 training images')
    parser.add_argument('--val', required=True, help='list of the 500 validation images')
    parser.add_argument('--test', required=True, help='list of the 2,000 test images')
    return parser.parse_args()


def main():
    args = parse_args()
    from mmseg_sparsemask.saliency.converters import convert_msra_b
    from mmseg_sparsemask.utils.errors import one_line_errors

    lists = dict(train=args.train, val=args.val, test=args.test)
    with one_line_errors():
        counts = convert_msra_b(args.source, lists, args.out)
    print(f'{args.out}: ' + ', '.join(f'{number} {split}' for split, number in counts.items()))


if __name__ == '__main__':
    main()
