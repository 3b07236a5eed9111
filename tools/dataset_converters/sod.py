"""Join BSDS500's train and val images with the masks of SOD: 200 to train, 100 to test."""

import argparse


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('bsds', help='BSDS500, the folder with images/train and images/val')
    parser.add_argument('masks', help='folder of the masks, PNG with the names of the images')
    parser.add_argument(
        '--out', '-o', '--out-dir', dest='out_dir', default='data/SOD300', help='folder to write'
    )
    return parser.parse_args()


def main():
    args = parse_args()
    from mmseg_sparsemask.saliency.converters import join_sod
    from mmseg_sparsemask.utils.errors import one_line_errors

    with one_line_errors():
        counts = join_sod(args.bsds, args.masks, args.out_dir)
    print(f'{args.out_dir}: ' + ', '.join(f'{number} {split}' for split, number in counts.items()))


if __name__ == '__main__':
    main()
