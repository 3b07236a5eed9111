"""Write a trained model as ONNX, TorchScript or torch.export, checked against the toolbox's."""

import math
from pathlib import Path

from mmseg_sparsemask_cli.arguments import cfg_options, out_file, parser_of, shape, trust_checkpoint

#: Images taken from the test data set when none are given.
IMAGES = 3

#: Images taken from the training data set to calibrate on when none are given.
CALIBRATION_IMAGES = 64


def parse_args(argv=None):
    parser = parser_of(
        __doc__,
        trust_checkpoint(),
        out_file(None, "beside the checkpoint, with the format's suffix"),
        shape(None, 'that of the crops in training; the file takes any size'),
        cfg_options(),
    )
    parser.add_argument('config', help='config file path')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--format',
        nargs='+',
        choices=['onnx', 'torchscript', 'torch_export'],
        default=['onnx'],
        help='formats to write',
    )
    parser.add_argument(
        '--images',
        type=Path,
        nargs='+',
        default=[],
        metavar='IMG',
        help=f'image files to compare on (default: {IMAGES} of the test data set)',
    )
    parser.add_argument(
        '--tolerance',
        type=float,
        default=1e-4,
        help='largest difference from the toolbox that is accepted, relative to the largest logit '
        'where that is above 1',
    )
    parser.add_argument(
        '--dtype',
        choices=['float32', 'float16'],
        default='float32',
        help='float16: another file beside each, *.float16.*, half as large',
    )
    parser.add_argument(
        '--quantize',
        choices=['int8'],
        help='another ONNX file beside the first, *.int8.onnx, calibrated on --images or on '
        f'{CALIBRATION_IMAGES} of the training data set',
    )
    parser.add_argument(
        '--test-images',
        type=int,
        default=200,
        metavar='N',
        help='images of the test data set, evenly spread, to measure the mean IoU of smaller files',
    )
    parser.add_argument(
        '--miou-tolerance',
        type=float,
        default=1.0,
        metavar='POINTS',
        help='points of mean IoU that a smaller file may lose; one that loses more is not written',
    )
    parser.add_argument(
        '--miou-share',
        type=float,
        default=0.05,
        metavar='PART',
        help='share of the mean IoU that a smaller file may lose, where that is less',
    )
    args = parser.parse_args(argv)
    if args.test_images < 1:
        parser.error(f'--test-images: expected at least 1, got {args.test_images}')
    for name in ('tolerance', 'miou_tolerance', 'miou_share'):
        if math.isnan(getattr(args, name)):
            parser.error(f'--{name.replace("_", "-")}: expected a number, got nan')
    return args


def precisions(args):
    """Of the smaller files that are asked for."""
    return [*(['float16'] if args.dtype == 'float16' else []), *filter(None, [args.quantize])]


def out_path(args, suffix):
    """Where a file goes: the suffix of a format, or of a checkpoint, is replaced; no other is.

    In a folder it is named as the checkpoint.
    """
    from mmseg_sparsemask.deployment.export import SUFFIXES

    out = args.out or Path(args.checkpoint)
    out = out / Path(args.checkpoint).name if out.is_dir() else out
    known = out.suffix in (*SUFFIXES.values(), '.pth', '.pt')
    return out.with_name((out.stem if known else out.name) + suffix)


def real_images(model, paths):
    """Image files, or the test data set's first images, by name."""
    from mmseg_sparsemask.deployment.accuracy import images_of

    if paths:
        return {str(path): path for path in paths}
    images = images_of(model.cfg, 'test_dataloader', IMAGES)
    return {f'test image {number}': image for number, image in enumerate(images)}


def run(args):
    from mmseg_sparsemask.deployment.deployed import deployed_segmentor
    from mmseg_sparsemask.deployment.export import (
        SUFFIXES,
        export,
        random_inputs,
        require_format,
        smallest_image,
        trace,
    )
    from mmseg_sparsemask.deployment.onnx_predictor import read_image
    from mmseg_sparsemask.deployment.precision import require_precision
    from mmseg_sparsemask.deployment.predictor import load_model, metadata_of, network_input
    from mmseg_sparsemask.models.backbones.probing import image_channels

    for file_format in args.format:
        require_format(file_format)
        for precision in precisions(args):
            require_precision(file_format, precision)
    if args.out is None and '://' in args.checkpoint:
        raise ValueError('the checkpoint is no local file: say with --out where to write')
    model = load_model(args.config, args.checkpoint, args.cfg_options, args.trust_checkpoint)
    metadata = metadata_of(model)
    size = args.shape or model.cfg.model.get('data_preprocessor', {}).get('size') or (512, 512)
    size = (int(size[0]), int(size[-1]))
    channels = image_channels(model.backbone)
    for path in args.images:
        read_image(path, channels)  # before the long work
    print(f'reading images, folding and tracing with {size[0]}x{size[1]} ...', flush=True)
    real = real_images(model, args.images)
    segmentor = deployed_segmentor(model, size)
    smallest = smallest_image(segmentor)
    for name, image in real.items():
        height, width = network_input(model, image).shape[-2:]
        if min(height, width) < smallest:
            raise ValueError(
                f'{name} is {height}x{width} for the network, which is exported for '
                f'{smallest}x{smallest} and larger; give larger --images'
            )
    program = trace(segmentor, size, smallest)
    inputs = random_inputs(size, smallest, channels)
    print(summary(model, segmentor, program))
    for file_format in args.format:
        print(f'\n{file_format}: writing and comparing ...', flush=True)
        done = export(
            model,
            out_path(args, SUFFIXES[file_format]),
            file_format,
            metadata,
            inputs,
            program,
            tolerance=args.tolerance,
            images=real,
        )
        print(report(done, real))
    if precisions(args):
        images = [read_image(path, channels) for path in args.images]
        write_smaller(args, model, segmentor, size, images)


def write_smaller(args, model, segmentor, size, images):
    """The files in float16 and int8 that are asked for, measured beside those in float32."""
    import torch

    from mmseg_sparsemask.deployment.accuracy import images_of, labelled_test_set, self_labelled
    from mmseg_sparsemask.deployment.export import SUFFIXES, smallest_image
    from mmseg_sparsemask.deployment.precision import accepted, measured, write_half, write_int8
    from mmseg_sparsemask.deployment.predictor import ModelPredictor, metadata_of
    from mmseg_sparsemask.models.backbones.probing import image_channels

    try:
        test_set = labelled_test_set(model.cfg, args.test_images)
    except ValueError:
        if not images:
            raise
        test_set = self_labelled(ModelPredictor(model), images)
    calibration = []
    if args.quantize:
        calibration = images or images_of(
            model.cfg, 'train_dataloader', CALIBRATION_IMAGES, spread=True
        )
    image = torch.randn(1, image_channels(model.backbone), *size)
    for file_format in args.format:
        source = out_path(args, SUFFIXES[file_format])
        print(f'\n{file_format}: measuring on {test_set.title} ...', flush=True)
        before = measured(source, test_set, image)
        print(f'float32: {cost_of(before)}', flush=True)

        def check(path, before=before):
            found = measured(path, test_set, image)
            return accepted(found, before.miou, args.miou_tolerance, args.miou_share)

        for precision in precisions(args):
            path = source.with_suffix(f'.{precision}{source.suffix}')
            if precision == 'int8':
                found = write_int8(source, path, calibration, check)
            else:
                found = write_half(
                    segmentor,
                    path,
                    file_format,
                    metadata_of(model),
                    size,
                    smallest_image(segmentor),
                    check,
                )
            change = found.miou - before.miou
            print(f'{precision}: {cost_of(found)} ({change:+.2f} points)\ndone: {path}', flush=True)


def cost_of(found):
    """What was measured of a file, as text."""
    return (
        f'{found.size / 2**20:.2f} MiB, {found.milliseconds:.1f} ms an image, '
        f'mean IoU {found.miou:.2f}'
    )


def summary(model, segmentor, program):
    """Parameters, and the decoder's convolutions, as text."""
    from mmseg_sparsemask.deployment.export import decoder_convs

    before = sum(p.numel() for p in model.parameters())
    after = sum(p.numel() for p in segmentor.parameters())
    lines = [f'parameters: {after:,} (trained: {before:,}, normalisations included)']
    convs = decoder_convs(program)
    if convs:
        lines.append(f'convolutions of the decoder: {sum(convs.values())}, and the classifier')
        for stage in dict.fromkeys(stage for stage, _ in convs):
            parts = [f'{name}: {count}' for (at, name), count in convs.items() if at == stage]
            lines.append(f'  {stage}  {", ".join(parts)}')
    return '\n'.join(lines)


def report(done, real):
    """A written file, as text."""
    lines = [f'largest difference on {name}: {d}' for name, d in done.differences.items()]
    noise = max(d.largest for name, d in done.differences.items() if name not in real)
    images = max(done.differences[name].largest for name in real)
    lines.append(f'largest difference: {noise:.2e} on noise, {images:.2e} on real images')
    opset = '' if done.opset is None else f', opset {done.opset}'
    lines.append(f'done: {done.path}, {done.size / 2**20:.2f} MiB{opset}')
    return '\n'.join(lines)


def main(argv=None):
    args = parse_args(argv)
    import torch

    from mmseg_sparsemask.utils.errors import one_line_errors

    torch.manual_seed(0)
    with one_line_errors(RuntimeError):
        run(args)


if __name__ == '__main__':
    main()
