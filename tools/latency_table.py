"""Time random decoders of a search on this machine, and write what each connection costs."""

import dataclasses
import os

from mmseg_sparsemask_cli.arguments import cfg_options, device, out_file, parser_of, shape


def parse_args():
    parser = parser_of(__doc__, device('cpu'), shape(), out_file('latency.json'), cfg_options())
    parser.add_argument('config', help='config of a search')
    parser.add_argument('--threads', type=int, default=1, help='threads of the CPU (default: 1)')
    parser.add_argument(
        '--decoders', type=int, default=200, help='random decoders to time (default: 200)'
    )
    parser.add_argument(
        '--left-out',
        type=int,
        default=30,
        help='further ones, for the error of the fit (default: 30)',
    )
    parser.add_argument('--seed', type=int, default=0, help='seed of the random decoders')
    return parser.parse_args()


def main():
    args = parse_args()
    from mmengine.registry import init_default_scope
    from mmseg.registry import MODELS

    import mmseg_sparsemask  # noqa: F401
    from mmseg_sparsemask.connectivity.latency import LARGEST_ERROR
    from mmseg_sparsemask.deployment.latency import measure_table, time_encoder
    from mmseg_sparsemask.models.decode_heads import FDNHead
    from mmseg_sparsemask.models.pretrained import without_weights
    from mmseg_sparsemask.utils.errors import one_line_errors
    from mmseg_sparsemask.utils.files import check_work_dir
    from mmseg_sparsemask.utils.read_config import decode_head_of, read_config
    from mmseg_sparsemask.utils.registered import type_name

    with one_line_errors(RuntimeError):
        cfg = read_config(args.config, args.cfg_options)
        init_default_scope(cfg.get('default_scope', 'mmseg'))
        settings = decode_head_of(cfg)
        if type_name(settings) != 'FDNHead':
            raise ValueError(
                f"expected the config of a search, with a decode_head of type 'FDNHead', got "
                f'{type_name(settings)!r}'
            )
        # A budget may name the table that is about to be written.
        settings = {**settings, 'loss_connectivity': None}
        head = MODELS.build(settings)
        assert isinstance(head, FDNHead)
        # All that can fail comes before what takes minutes.
        network = MODELS.build(without_weights({**cfg.model, 'decode_head': settings}))
        check_work_dir(os.path.dirname(os.path.abspath(args.out)), '--out')
        if args.out.is_dir():
            raise ValueError(f'--out: expected a file, got the folder {args.out}')
        table = measure_table(
            head, args.shape, args.device, args.threads, args.decoders, args.left_out, args.seed
        )
        encoder = time_encoder(network, args.shape, args.device, args.threads)
        meta = {**table.meta, 'encoder_milliseconds': round(encoder, 3)}
        table = dataclasses.replace(table, meta=meta)
        table.save(args.out)
    print(
        f'written: {args.out}; error on {args.left_out} decoders that the fit has not seen: '
        f'{table.meta["mean_error"]:.1%} on average, {table.meta["largest_error"]:.1%} at most'
    )
    if table.error > LARGEST_ERROR:
        raise SystemExit(
            f'error: not fit for use: expected at most {LARGEST_ERROR:.0%} on average. Measure '
            'again on a quiet machine or with more --decoders; BudgetLoss refuses this table'
        )


if __name__ == '__main__':
    main()
