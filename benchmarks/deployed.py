"""Deployed networks on the runtimes that run them: PyTorch, TorchScript, ONNX Runtime, OpenVINO.

    python benchmarks/deployed.py --threads 1 --batch 1 --json OUT.json
    python benchmarks/deployed.py --device cuda --dtype fp16 --json OUT.json

Every network is `deployed_segmentor`'s form of `configs/sparsemask/*_mbv2_voc.py`, untrained, as
`tools/deployment/export.py` writes it. The backbone alone runs too: a network's time less the
backbone's, on one runtime, is what its decoder adds. A network that cannot be traced for images of
any size is traced for the one it is timed with. On a GPU, and in half precision, PyTorch's own
runtimes run alone.
"""

from __future__ import annotations

import copy
import importlib.util
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from common import DTYPES, finish, measure, parse_args, prepare, table
from decoders import Equality, relative
from end_to_end import DEPLOYED_TOLERANCE, DILATED, OURS, make_models, metas_of
from torch import Tensor, nn

from mmseg_sparsemask.deployment.deployed import deployed_segmentor
from mmseg_sparsemask.deployment.export import require_format, scriptable, smallest_image, trace

BACKBONE = 'backbone alone'
RUNTIMES = ('eager', 'compile', 'torchscript', 'onnxruntime', 'openvino')
#: Those that run a graph in ONNX's format: here on CPUs and in float32.
ON_GRAPHS = ('onnxruntime', 'openvino')
Network = Callable[[Tensor], Tensor]


class LastFeature(nn.Module):
    """A backbone, down to its coarsest feature: what every decoder here starts from."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, image: Tensor) -> Tensor:
        """Feature (N, C, h, w) of images (N, 3, H, W)."""
        return self.backbone(image)[-1]


def add_arguments(parser) -> None:
    parser.add_argument('--height', type=int, help='of the image, where it is not --size')
    parser.add_argument(
        '--runtimes', nargs='+', choices=RUNTIMES, default=list(RUNTIMES), help='which to time'
    )


def traced(segmentor: nn.Module, image: Tensor) -> torch.export.ExportedProgram:
    """With open sizes where they can be traced, else for the image's size."""
    try:
        return trace(segmentor, (128, 128), smallest_image(segmentor))
    except RuntimeError:
        return torch.export.export(segmentor, (image,), strict=False)


def runtimes(
    segmentor: nn.Module, image: Tensor, folder: Path, title: str, names: list[str], threads: int
) -> dict[str, Network]:
    """The network on each runtime: from an image to its logits."""
    found: dict[str, Network] = {}
    path = folder / f'{title}.onnx'
    program = traced(copy.deepcopy(segmentor), image)
    if set(ON_GRAPHS) & set(names):
        options = dict(dynamo=True, input_names=['image'], external_data=False, verbose=False)
        torch.onnx.export(program, (), **options).save(str(path))
    for name in names:
        if name == 'eager':
            placed = segmentor.to(memory_format=torch.channels_last)
            found[name] = lambda x, net=placed: net(x.to(memory_format=torch.channels_last))
        elif name == 'compile':
            found[name] = torch.compile(segmentor, dynamic=False)
        elif name == 'torchscript':
            found[name] = torch.jit.freeze(torch.jit.script(scriptable(program)).eval())
        elif name == 'onnxruntime':
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads, options.log_severity_level = threads, 3
            session = onnxruntime.InferenceSession(
                str(path), options, providers=['CPUExecutionProvider']
            )
            found[name] = lambda x, s=session: torch.from_numpy(
                s.run(None, {'image': x.numpy()})[0]
            )
        else:
            import openvino

            # Its default is bfloat16 where the processor has it.
            config = {'INFERENCE_NUM_THREADS': threads, 'INFERENCE_PRECISION_HINT': 'f32'}
            model = openvino.Core().compile_model(str(path), 'CPU', config)
            found[name] = lambda x, m=model: torch.from_numpy(m(x.numpy())[0])
    return found


def as_trained(model: nn.Module, title: str, image: Tensor) -> Tensor:
    """Logits of a segmentor as MMSegmentation runs it, or its backbone's coarsest feature."""
    if title == BACKBONE:
        return model.backbone(image)[-1]
    return model.encode_decode(image, metas_of(image))


@torch.no_grad()
def main() -> int:
    args = parse_args(
        __doc__, size=512, batch=1, threads=1, rounds=20, quick_size=64, extend=add_arguments
    )
    conditions = prepare(args)
    names = list(args.runtimes)
    device, dtype = torch.device(args.device), DTYPES[args.dtype]
    if device.type != 'cpu' or dtype != torch.float32:
        names = [name for name in names if name not in ON_GRAPHS]
    if 'openvino' in names and importlib.util.find_spec('openvino') is None:
        names.remove('openvino')
        print('openvino is not installed: left out (extra "openvino")')
    if args.quick:
        names = [name for name in names if name != 'compile']
    if 'onnxruntime' in names:
        require_format('onnx')
    image = torch.randn(args.batch, 3, args.height or args.size, args.size).to(device)
    given = image.to(dtype)
    models = make_models(64 if args.quick else 128)
    models.pop(DILATED)
    if args.quick:
        models = {title: models[title] for title in ('FCN', OURS)}
    variants: dict[str, Callable[[], Tensor]] = {}
    equality = Equality()
    with tempfile.TemporaryDirectory() as folder:
        for title, model in {**models, BACKBONE: models[OURS]}.items():
            model.to(device)
            segmentor = deployed_segmentor(model).to(dtype)
            if title == BACKBONE:
                segmentor = LastFeature(segmentor.backbone)
            wanted = as_trained(model, title, image)
            allowed = DEPLOYED_TOLERANCE
            if dtype != torch.float32:
                # Where half precision itself is far off, the deployed form may be twice as far.
                half = as_trained(copy.deepcopy(model).to(dtype), title, given)
                allowed = max(allowed, 2 * relative(half, wanted))
            found = runtimes(segmentor, given, Path(folder), title, names, args.threads)
            for name, network in found.items():
                equality.check(f'{title}, {name}', relative(network(given), wanted), allowed)
                variants[f'{title}, {name}'] = lambda network=network: network(given)
        timings = measure(variants, rounds=args.rounds, device=args.device, warmup=args.warmup)
    rows, summary = [], {}
    for name in names:
        alone = timings.median(f'{BACKBONE}, {name}')
        for title in models:
            key = f'{title}, {name}'
            summary[key] = {
                'ms': 1e3 * timings.median(key),
                'decoder_ms': 1e3 * (timings.median(key) - alone),
                'over_fcn': timings.ratio(key, f'FCN, {name}'),
                'over_fcn_by_round': timings.round_ratio(key, f'FCN, {name}'),
            }
            row = summary[key]
            spread = f'{100 * timings.spread(key):.0f} %'
            numbers = [f'{row["ms"]:.1f}', spread, f'{row["decoder_ms"]:.1f}']
            ratios = [f'{row["over_fcn"]:.2f}', f'{row["over_fcn_by_round"]:.2f}']
            rows.append([name, title, *numbers, *ratios])
    heads = ['runtime', 'network', 'ms', 'spread', 'of these the decoder']
    print(table([*heads, 'speed over FCN (medians)', '(rounds)'], rows))
    result = {'conditions': conditions, 'equality': equality.checks, 'summary': summary}
    return finish(args, 'deployed', {**result, 'variants': timings.as_dict({})})


if __name__ == '__main__':
    sys.exit(main())
