"""Write label maps of PASCAL VOC's 21 classes from COCO's instance annotations."""

from mmseg_sparsemask_cli.arguments import out_folder, parser_of


def parse_args(argv=None):
    parser = parser_of(__doc__, out_folder('data/coco/voc21'))
    parser.add_argument('annotations', help="COCO's instances_train2017.json")
    parser.add_argument('--split', default='train2017', help='name of the folder and list')
    parser.add_argument(
        '--min-pixels', type=int, default=1000, help='leave out images with fewer labelled pixels'
    )
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    from mmseg_sparsemask.datasets.coco_voc import convert_coco
    from mmseg_sparsemask.utils.errors import one_line_errors
    from mmseg_sparsemask.utils.words import counted

    with one_line_errors():
        count = convert_coco(args.annotations, args.out, args.split, args.min_pixels)
    print(f'{args.out}: {counted(count, "image")} of {args.split}')


if __name__ == '__main__':
    main()
