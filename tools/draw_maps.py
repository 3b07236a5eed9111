"""Draw images, their truth and the maps of several methods side by side, with titles."""

from pathlib import Path

from mmseg_sparsemask_cli.arguments import out_file, parser_of


def parse_args():
    parser = parser_of(__doc__, out_file('maps.png'))
    parser.add_argument('images', help='folder of the images (.jpg or .png)')
    parser.add_argument('truth', help='folder of the masks (.png) or annotations (.mat, .png)')
    parser.add_argument(
        '--maps',
        nargs='+',
        required=True,
        metavar='TITLE=FOLDER',
        help='grey PNG of a method, as tools/test.py --out writes them',
    )
    parser.add_argument('--names', nargs='+', required=True, help='images, without suffix')
    return parser.parse_args()


def main():
    args = parse_args()
    from mmseg_sparsemask.utils.errors import one_line_errors

    with one_line_errors():
        draw(args)


def draw(args):
    import cv2

    from mmseg_sparsemask.binary_maps.map_visualizer import draw_panels
    from mmseg_sparsemask.datasets.reading import by_stem, decode_image
    from mmseg_sparsemask.edges.files import read_annotations, read_prediction
    from mmseg_sparsemask.utils.figures import figure_to_array
    from mmseg_sparsemask.utils.files import write_atomically

    pairs = [pair.partition('=') for pair in args.maps]
    folders = {title: folder for title, _, folder in pairs if folder}
    if len(folders) < len(pairs):
        raise ValueError(f'--maps: expected TITLE=FOLDER, each title once, got {args.maps}')
    images, truth = by_stem(args.images, ['.jpg', '.png']), by_stem(args.truth, ['.mat', '.png'])
    rows = []
    for name in args.names:
        if name not in images or name not in truth:
            folder = args.truth if name in images else args.images
            raise FileNotFoundError(f'{name}: there is no such image in {folder}')
        data = images[name].read_bytes()
        row = {'image': decode_image(data, str(images[name]), cv2.IMREAD_COLOR)[..., ::-1]}
        row['truth'] = read_annotations(truth[name]).mean(0)
        for title, folder in folders.items():
            row[title] = read_prediction(Path(folder, f'{name}.png'))
        rows.append(row)
    drawn = figure_to_array(draw_panels(rows, width=2.0))
    if args.out.suffix not in ('.jpg', '.png'):
        raise ValueError(f'--out: expected a name that ends in .jpg or .png, got {args.out}')
    write_atomically(args.out, cv2.imencode(args.out.suffix, drawn[..., ::-1])[1].tobytes())


if __name__ == '__main__':
    main()
