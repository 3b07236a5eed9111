"""Whole networks: images a second, from the normalised image to the logits at its size.

    python benchmarks/end_to_end.py --threads 1 --json OUT.json

All have the same MobileNet-V2 and are built from `configs/sparsemask/*_mbv2_voc.py`, untrained; the
segmentor's `encode_decode` is timed. Each runs in both layouts, as it is trained and as it is
deployed (`tools/deployment/export.py`: normalisations folded into convolutions), our heads also as
they are on a folded backbone, and with `--compile` some deployed and compiled. The best form of
each enters the table of ratios, of the baselines as of ours.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable

import torch
from common import DTYPES, LAYOUTS, finish, measure, parse_args, prepare, profile, table
from decoders import CLASSES, TOLERANCE, Equality, model_config, naive, relative
from floor import Work, decoder_work, measure_rates
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mmseg_sparsemask.connectivity.graph import level_of
from mmseg_sparsemask.deployment.deployed import DeployedSegmentor, deployed_segmentor
from mmseg_sparsemask.models.decode_heads.fusion_head import FusionHead

OURS = 'SparseMask'
#: The same head as DeepLab-V3's authors have it; the config's has no dilated branches.
DILATED = 'DeepLab-V3, dilated'
ORIGINAL_ASPP = dict(channels=256, dilations=(1, 6, 12, 18))
CONFIGS = {
    'FCN': 'fcn_mbv2_voc',
    'DeepLab-V3': 'deeplabv3_mbv2_voc',
    DILATED: 'deeplabv3_mbv2_voc',
    'U-Net': 'unet_mbv2_voc',
    'full FDN': 'full_mbv2_voc',
    OURS: 'sparsemask_mbv2_voc',
}
#: What SparseMask's Table 1 makes of it.
PAPER = {'FCN': 98 / 156, 'DeepLab-V3': 98 / 50}
#: Folding changes the rounding of some fifty layers; what `tools/deployment/export.py` allows.
DEPLOYED_TOLERANCE = 1e-4


def make_models(size: int) -> dict[str, nn.Module]:
    """The segmentors by title, untrained, with one backbone's weights and real statistics."""
    configs = {title: model_config(name) for title, name in CONFIGS.items()}
    configs[DILATED]['decode_head'].update(ORIGINAL_ASPP)
    models = {title: MODELS.build(config) for title, config in configs.items()}
    backbone = models[OURS].backbone.state_dict()
    images = torch.randn(2, 3, size, size)
    for model in models.values():
        model.backbone.load_state_dict(backbone)
        # Activations of a deep network without them fade to numbers that are slow to multiply.
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None
        model.train()
        model.encode_decode(images, metas_of(images))
        model.eval()
    return models


def metas_of(images: Tensor) -> list[dict]:
    """What `EncoderDecoder.predict` makes when there are no data samples."""
    size = tuple(images.shape[2:])
    return [dict(ori_shape=size, img_shape=size, pad_shape=size)] * len(images)


@torch.no_grad()
def main() -> int:
    args = parse_args(__doc__, size=512, batch=1, threads=1, rounds=30)
    conditions = prepare(args)
    device, dtype = args.device, DTYPES[args.dtype]
    models = make_models(128 if not args.quick else 64)
    image = torch.randn(args.batch, 3, args.size, args.size).to(dtype).to(device)
    forms: dict[str, dict[str, nn.Module]] = {
        title: {'as trained': model, 'deployed': deployed_segmentor(model)}
        for title, model in models.items()
    }
    for title, model in models.items():
        if isinstance(model.decode_head, FusionHead):
            # The head's own form has CPU paths that a portable graph cannot have.
            backbone = forms[title]['deployed'].backbone
            forms[title]['folded'] = DeployedSegmentor(
                backbone, model.decode_head, model.align_corners
            )
    head = models[OURS].decode_head
    reference = DeployedSegmentor(
        models[OURS].backbone, naive(head, 'cpu', torch.float32, 'contiguous'), head.align_corners
    )
    forms['SparseMask, naive'] = {'as trained': reference}

    equality = Equality()
    small = torch.randn(2, 3, 96, 64)
    for title, by_form in forms.items():
        expected = reference(small) if title == OURS else run(by_form['as trained'])(small)
        for form, model in by_form.items():
            if form == 'as trained' and title != OURS:
                continue
            allowed = TOLERANCE if form == 'as trained' else DEPLOYED_TOLERANCE
            equality.check(f'{title}, {form}', relative(run(model)(small), expected), allowed)

    variants: dict[str, Callable[[], Tensor]] = {}
    owners: dict[str, str] = {}
    for layout, memory_format in LAYOUTS.items():
        seen = image.contiguous(memory_format=memory_format)
        for title, by_form in forms.items():
            for form, model in by_form.items():
                placed = copy.deepcopy(model).to(device, dtype).to(memory_format=memory_format)
                name = f'{title}, {form}, {layout}'
                owners[name] = title
                variants[name] = lambda net=placed, seen=seen: run(net)(seen)
        alone = copy.deepcopy(forms[OURS]['deployed'].backbone).to(device, dtype)
        alone = alone.to(memory_format=memory_format)
        variants[f'backbone alone, deployed, {layout}'] = lambda net=alone, seen=seen: net(seen)
    if args.compile:
        for title in ('FCN', 'DeepLab-V3', OURS):
            best = copy.deepcopy(forms[title]['deployed']).to(device, dtype)
            best = best.to(memory_format=torch.channels_last)
            net = torch.compile(best, mode=args.compile, dynamic=False)
            owners[f'{title}, compiled'] = title
            variants[f'{title}, compiled'] = lambda net=net, seen=seen: net(seen)

    rates = measure_rates(device, dtype, args.quick)
    timings = measure(variants, rounds=args.rounds, device=device, warmup=args.warmup)
    fastest = {
        title: timings.fastest([name for name, owner in owners.items() if owner == title])
        for title in forms
    }
    compared = {title: fastest[title] for title in ('FCN', 'DeepLab-V3')}
    print(f'\n{timings.table(compared)}\n')
    rows, summary = [], {}
    for title, name in fastest.items():
        fps = args.batch / timings.median(name)
        ratios = {other: timings.ratio(name, best) for other, best in compared.items()}
        by_round = {other: timings.round_ratio(name, best) for other, best in compared.items()}
        summary[title] = {'best': name, 'fps': fps, 'of_medians': ratios, 'of_rounds': by_round}
        cells = [name, f'{fps:.1f}']
        for other in compared:
            cells += [f'{ratios[other]:.2f}', f'{by_round[other]:.2f}']
        rows.append(cells)
    heads = ['best form', 'images/s']
    heads += [f'over {title} ({of})' for title in compared for of in ('medians', 'rounds')]
    print(f'{table(heads, rows)}\n\n{rates}')
    floor = rates.floor(network_work(models[OURS], image.cpu().float(), dtype))
    floor['times'] = 1e3 * timings.median(fastest[OURS]) / floor['floor_ms']
    print(
        f'floor of {OURS}: {floor["floor_ms"]:.2f} ms, the larger of {floor["bytes"] / 1e6:.1f} MB '
        f'({floor["bytes_ms"]:.2f} ms) and {floor["multiply_adds"] / 1e6:.0f} M multiply-adds '
        f'({floor["multiply_adds_ms"]:.2f} ms)'
    )
    print(f'{fastest[OURS]}: {floor["times"]:.1f} times the floor')
    if args.profile:
        profile(variants[fastest[OURS]], device, fastest[OURS])
    return finish(
        args,
        'end_to_end',
        {
            'conditions': conditions,
            'equality': equality.checks,
            'rates': vars(rates),
            'floor': floor,
            'paper': PAPER,
            'summary': summary,
            'variants': timings.as_dict(compared),
        },
    )


def run(model: nn.Module) -> Callable[[Tensor], Tensor]:
    """From images to logits at their size."""
    if isinstance(model, DeployedSegmentor):
        return model
    return lambda image: model.encode_decode(image, metas_of(image))


def network_work(model: nn.Module, image: Tensor, dtype: torch.dtype) -> Work:
    """Minimal form of our network: image and parameters read, logits at its size written."""
    with FlopCounterMode(display=False) as counter:
        features = model.backbone(image)
    graph = model.decode_head.connectivity
    decoder = decoder_work(graph, features, 64, CLASSES)
    height, width = image.shape[-2:]
    rows = features[level_of(graph.end) - 1].shape[-2]
    resizing = 2 * CLASSES * (rows * width + height * width) * len(image)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    logits = len(image) * CLASSES * height * width
    return Work(
        dtype.itemsize * (image.numel() + parameters + logits),
        counter.get_total_flops() // 2 + decoder.multiply_adds + resizing,
    )


if __name__ == '__main__':
    sys.exit(main())
