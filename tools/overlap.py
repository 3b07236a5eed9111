"""How alike decoders are, for example of searches with different seeds, and what chance gives.

Each pair counts with the connections in both over those in either (Jaccard). Beside it stands the
same for random decoders, one as large as each and with the same end.
"""

from mmseg_sparsemask_cli.arguments import parser_of


def parse_args(argv=None):
    parser = parser_of(__doc__)
    parser.add_argument('config', help='a config of the decoders, for channels and classes')
    parser.add_argument('connectivity', nargs='+', help='two connectivity.json files or more')
    parser.add_argument(
        '--draws', type=int, default=20, help='how often random decoders are drawn (default: 20)'
    )
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    from mmseg_sparsemask.utils.errors import one_line_errors

    with one_line_errors(AttributeError):
        run(args)


def run(args):
    from statistics import fmean, stdev

    from mmseg_sparsemask.connectivity import DecoderShape, load
    from mmseg_sparsemask.connectivity.controls import from_settings, overlap
    from mmseg_sparsemask.utils.read_config import decode_head_of, read_config
    from mmseg_sparsemask.utils.words import counted

    if args.draws < 2:
        raise ValueError(f'--draws: expected at least 2, got {args.draws}')
    head = decode_head_of(read_config(args.config))
    found = [load(path) for path in args.connectivity]
    shape = DecoderShape.of_head(head, found[0].strides)
    parameters = [shape.cost(decoder).parameters for decoder in found]
    for path, decoder, number in zip(args.connectivity, found, parameters):
        print(f'{path}: {counted(len(decoder), "connection")}, {number:,} parameters')
    print(f'overlap {overlap(found):.2f}', flush=True)
    by_chance = []
    for draw in range(args.draws):
        drawn = [
            from_settings(
                dict(
                    source='random',
                    seed=draw * len(found) + place,
                    parameters=number,
                    end=decoder.end,
                ),
                shape,
            )
            for place, (decoder, number) in enumerate(zip(found, parameters))
        ]
        by_chance.append(overlap(drawn))
    print(f'random decoders of these sizes {fmean(by_chance):.2f} ± {stdev(by_chance):.2f}')


if __name__ == '__main__':
    main()
