"""How alike decoders are, for example of searches with different seeds, and what chance gives.

Each pair counts with the connections in both over those in either (Jaccard). Beside it stands the
same for random decoders, one as large as each.
"""

import argparse
import sys


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='a config of the decoders, for channels and classes')
    parser.add_argument('connectivity', nargs='+', help='two connectivity.json files or more')
    parser.add_argument(
        '--draws', type=int, default=20, help='times that random decoders are drawn (default: 20)'
    )
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    from statistics import fmean, stdev

    from mmengine.config import Config

    from mmseg_sparsemask.connectivity import decoder_cost, load
    from mmseg_sparsemask.connectivity.controls import DecoderSize, from_settings, overlap

    try:
        if args.draws < 2:
            raise ValueError(f'--draws: expected at least 2, got {args.draws}')
        head = Config.fromfile(args.config).model.decode_head
        size = DecoderSize(head.in_channels, head.channels, head.num_classes)
        found = [load(path) for path in args.connectivity]
        shared = overlap(found)
        parameters = [decoder_cost(decoder, *size).parameters for decoder in found]
        by_chance = [
            overlap(
                [
                    from_settings(
                        dict(source='random', seed=draw * len(found) + place, parameters=number),
                        found[0].strides,
                        size,
                    )
                    for place, number in enumerate(parameters)
                ]
            )
            for draw in range(args.draws)
        ]
    except (ValueError, OSError, AttributeError) as error:
        sys.exit(f'error: {error}')
    for path, decoder, number in zip(args.connectivity, found, parameters):
        print(f'{path}: {len(decoder)} connections, {number:,} parameters')
    print(f'overlap {shared:.2f}')
    print(f'random decoders of these sizes {fmean(by_chance):.2f} ± {stdev(by_chance):.2f}')


if __name__ == '__main__':
    main()
