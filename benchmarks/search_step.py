"""One step of the search: the supernet's decoder forward and backward, against its reference.

    python benchmarks/search_step.py --threads 2 --json OUT.json
    python benchmarks/search_step.py --threads 2 --scaling --json OUT.json

Training mode, batch statistics, gradients of features, convolutions, normalisations and connection
weights; the backbone, the loss and the optimiser are left out. `--dtype fp16` or `bf16` is mixed
precision: float32 parameters, half features, autocast. `--scaling` times other numbers of stages
(evenly spaced features, the finest and the coarsest always among them) and of channels instead.
"""

from __future__ import annotations

import sys

import torch
from common import DTYPES, finish, measure, parse_args, prepare, profile, table
from decoders import CLASSES, Equality
from floor import decoder_work, measure_rates
from supernets import check_training, make_steps

LEVELS = 9


def add_arguments(parser) -> None:
    parser.add_argument(
        '--scaling', action='store_true', help='a table over stages (3 to 9) and channels'
    )


def main() -> int:
    args = parse_args(__doc__, size=256, batch=4, threads=2, rounds=20, extend=add_arguments)
    conditions = prepare(args)
    equality = Equality()
    if args.scaling:
        result = scaling(args, equality)
    else:
        result = compare(args, equality)
    return finish(
        args, 'search_step', {'conditions': conditions, 'equality': equality.checks, **result}
    )


def compare(args, equality: Equality) -> dict:
    """All variants of the supernet on nine features."""
    head, steps = make_steps(
        args.size, args.batch, args.device, args.dtype, compile_mode=args.compile
    )
    check_training(equality, head, steps, args.size, args.batch)
    rates = measure_rates(args.device, DTYPES[args.dtype], args.quick)
    timings = measure(steps, rounds=args.rounds, device=args.device, warmup=args.warmup)
    best = timings.fastest([name for name in steps if name.startswith('naive')])
    compared = {'naive': best, 'naive contiguous': 'naive contiguous'}
    print(f'\nreference: {best} (its best layout)\n\n{timings.table(compared)}\n\n{rates}')
    work = decoder_work(
        head.connectivity, steps['ours'].features, head.channels, CLASSES, training=True
    )
    floor = rates.floor(work)
    mine = [name for name in steps if not name.startswith('naive')]
    floor['times'] = {name: 1e3 * timings.median(name) / floor['floor_ms'] for name in mine}
    print(
        f'floor: {floor["floor_ms"]:.2f} ms, the larger of {floor["bytes"] / 1e6:.1f} MB '
        f'({floor["bytes_ms"]:.2f} ms) and {floor["multiply_adds"] / 1e6:.0f} M multiply-adds '
        f'({floor["multiply_adds_ms"]:.2f} ms)'
    )
    for name, times in floor['times'].items():
        print(f'{name}: {times:.1f} times the floor')
    if args.profile:
        profile(steps['ours'], args.device, 'ours')
    return {'rates': vars(rates), 'floor': floor, 'variants': timings.as_dict(compared)}


def scaling(args, equality: Equality) -> dict:
    """Time of a step and per connection, over stages and channels."""
    reference = 'naive channels_last'
    rows = []
    for channels in (8, 16) if args.quick else (32, 64, 128):
        for stages in (3, LEVELS) if args.quick else range(3, LEVELS + 1):
            levels = torch.linspace(0, LEVELS - 1, stages).round().int().tolist()
            head, steps = make_steps(
                args.size,
                args.batch,
                args.device,
                args.dtype,
                levels=levels,
                channels=channels,
                only=('naive contiguous', reference, 'ours'),
            )
            name = f'{stages} stages, {channels} channels'
            check_training(equality, head, steps, args.size, args.batch, levels, name)
            del steps['naive contiguous']
            timings = measure(
                steps, rounds=args.rounds, device=args.device, warmup=args.warmup, label=name
            )
            ours, theirs = (1e3 * timings.median(which) for which in ('ours', reference))
            count = len(head.connectivity)
            rows.append(
                {
                    'channels': channels,
                    'stages': stages,
                    'levels': [f'E{level + 1}' for level in levels],
                    'connections': count,
                    'ours_ms': ours,
                    'naive_ms': theirs,
                    'spread': timings.spread('ours'),
                    'ours_ms_per_connection': ours / count,
                    'naive_ms_per_connection': theirs / count,
                    'times_as_fast': timings.ratio('ours', reference),
                }
            )
    heads = ['channels', 'stages', 'connections', 'ours ms', 'spread', 'ms per connection']
    heads += [f'{reference} ms', 'ms per connection', 'times as fast']
    cells = [
        [
            *(str(row[key]) for key in ('channels', 'stages', 'connections')),
            f'{row["ours_ms"]:.1f}',
            f'{100 * row["spread"]:.0f} %',
            f'{row["ours_ms_per_connection"]:.2f}',
            f'{row["naive_ms"]:.1f}',
            f'{row["naive_ms_per_connection"]:.2f}',
            f'{row["times_as_fast"]:.2f}',
        ]
        for row in rows
    ]
    print(f'\n{table(heads, cells)}')
    return {'scaling': rows}


if __name__ == '__main__':
    sys.exit(main())
