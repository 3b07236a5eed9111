"""Inference of the decoder alone: the published architecture, its reference, and other decoders.

    python benchmarks/decoder_inference.py --threads 1 --compile --json OUT.json

Features of an image (default 512x512) are random and already there; timed is what comes between
them and the logits, which have the size of the finest feature. The resize of the logits to the
image is a row of its own. A variant gets its features in the layout that its name says; ours
without a layout gets channels_last, and `contiguous in` includes bringing them there.
"""

from __future__ import annotations

import copy
import sys

import torch
import torch.nn.functional as F
from common import DTYPES, LAYOUTS, finish, measure, parse_args, prepare, profile
from decoders import (
    CLASSES,
    Equality,
    check_inference,
    make_features,
    make_head,
    naive,
    placed,
    toolbox_head,
)
from floor import decoder_work, measure_rates

from mmseg_sparsemask.deployment.deployed import deployed_decoder

#: Other decoders on the same features.
TOOLBOX = {'FCN': 'fcn_mbv2_voc', 'DeepLab-V3': 'deeplabv3_mbv2_voc'}
PRESETS = {'U-Net': 'unet', 'full FDN': 'fdn'}


@torch.no_grad()
def main() -> int:
    args = parse_args(__doc__, size=512, batch=1, threads=1, rounds=50)
    conditions = prepare(args)
    device, dtype = args.device, DTYPES[args.dtype]
    features = make_features(args.size, args.batch)
    inputs = {layout: placed(features, device, dtype, layout) for layout in LAYOUTS}
    nhwc = inputs['channels_last']

    head = make_head('SparseMaskHead', connectivity='sparsemask_mbv2_voc').eval()
    ours = copy.deepcopy(head).to(device, dtype)
    plain = deployed_decoder(head).to(device, dtype)
    mine = {
        'ours': lambda: ours(nhwc),
        'ours, contiguous in': lambda: ours(inputs['contiguous']),
        'ours, deployed': lambda: plain(nhwc),
    }
    if args.compile:
        for name, module in {'ours': ours, 'ours, deployed': plain}.items():
            compiled = torch.compile(copy.deepcopy(module), mode=args.compile, dynamic=False)
            mine[f'{name}, compiled'] = lambda compiled=compiled: compiled(nhwc)
    references = {f'naive {layout}': naive(head, device, dtype, layout) for layout in LAYOUTS}
    variants = {
        f'naive {layout}': lambda layout=layout: references[f'naive {layout}'](inputs[layout])
        for layout in LAYOUTS
    }
    variants.update(mine)

    equality = Equality()
    check_inference(equality, mine, head, features, device, dtype)
    for title, preset in PRESETS.items():
        other = make_head('SparseMaskHead', connectivity=preset).eval()
        placed_other = copy.deepcopy(other).to(device, dtype)
        variants[title] = lambda other=placed_other: other(nhwc)
        check_inference(equality, {title: variants[title]}, other, features, device, dtype)
    for title, config in TOOLBOX.items():
        for layout, memory_format in LAYOUTS.items():
            other = toolbox_head(config).eval().to(device, dtype).to(memory_format=memory_format)
            variants[f'{title} {layout}'] = lambda other=other, layout=layout: other(inputs[layout])
    logits = ours(nhwc)
    variants['resize of the logits to the image'] = lambda: F.interpolate(
        logits, size=(args.size, args.size), mode='bilinear', align_corners=True
    )

    rates = measure_rates(device, dtype, args.quick)
    timings = measure(variants, rounds=args.rounds, device=device, warmup=args.warmup)
    best = timings.fastest(list(references))
    compared = {'naive': best, 'naive contiguous': 'naive contiguous'}
    print(f'\nreference: {best} (its best layout)\n\n{timings.table(compared)}\n\n{rates}')
    floor = rates.floor(decoder_work(head.connectivity, nhwc, head.channels, CLASSES))
    floor['times'] = {name: 1e3 * timings.median(name) / floor['floor_ms'] for name in mine}
    print(
        f'floor: {floor["floor_ms"]:.2f} ms, the larger of {floor["bytes"] / 1e6:.1f} MB '
        f'({floor["bytes_ms"]:.2f} ms) and {floor["multiply_adds"] / 1e6:.0f} M multiply-adds '
        f'({floor["multiply_adds_ms"]:.2f} ms)'
    )
    for name, times in floor['times'].items():
        print(f'{name}: {times:.1f} times the floor')
    if args.profile:
        fastest = timings.fastest([name for name in mine if 'compiled' not in name])
        profile(mine[fastest], device, fastest)
    return finish(
        args,
        'decoder_inference',
        {
            'conditions': conditions,
            'equality': equality.checks,
            'rates': vars(rates),
            'floor': floor,
            'variants': timings.as_dict(compared),
        },
    )


if __name__ == '__main__':
    sys.exit(main())
