"""Make PASCAL-Person-Part from VOC 2010 and the annotations of PASCAL-Part."""

from mmseg_sparsemask_cli.arguments import out_folder, parser_of


def parse_args():
    parser = parser_of(__doc__, out_folder('data/pascal_person_part'))
    parser.add_argument('voc', help='VOCdevkit/VOC2010')
    parser.add_argument('annotations', help='Annotations_Part of PASCAL-Part (.mat files)')
    parser.add_argument('--lists', help='folder with train.txt and val.txt, if not those of VOC')
    return parser.parse_args()


def main():
    args = parse_args()
    from mmseg_sparsemask.datasets.pascal_person_part import convert_pascal_part
    from mmseg_sparsemask.utils.errors import one_line_errors

    with one_line_errors():
        counts = convert_pascal_part(args.voc, args.annotations, args.out, args.lists)
    print(f'{args.out}: {counts["train"]} train, {counts["val"]} val (published: 1716, 1817)')


if __name__ == '__main__':
    main()
