"""Draw the labels that a model predicts over images."""

from pathlib import Path

from mmseg_sparsemask_cli.arguments import (
    cfg_options,
    device,
    out_folder,
    parser_of,
    trust_checkpoint,
)


def parse_args(argv=None):
    parser = parser_of(
        __doc__, trust_checkpoint(), out_folder(required=True), device('cpu'), cfg_options()
    )
    parser.add_argument('images', nargs='+', type=Path, metavar='IMAGE', help='image files')
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument('--config', help='config file path, with --checkpoint')
    model.add_argument(
        '--model',
        '--onnx',
        type=Path,
        metavar='FILE',
        help='file of deployment/export.py, of any of its formats',
    )
    parser.add_argument('--checkpoint', help='checkpoint file, with --config')
    parser.add_argument(
        '--opacity', type=float, default=0.5, help='of the colours, between 0 and 1'
    )
    args = parser.parse_args(argv)
    if (args.config is None) != (args.checkpoint is None):
        parser.error('--config and --checkpoint go together')
    if not 0 <= args.opacity <= 1:
        parser.error(f'--opacity: expected a number between 0 and 1, got {args.opacity}')
    return args


def output_paths(images, folder):
    """Where the overlay of each image goes: its name, as PNG."""
    paths = {}
    for image in images:
        path = folder / f'{image.stem}.png'
        if path in paths.values():
            raise ValueError(f'two images are named {image.stem}; their overlays need two folders')
        if path.resolve() == image.resolve():
            raise ValueError(f'{path} is an image itself; choose another --out')
        paths[image] = path
    return paths


def draw(predictor, image, path, opacity):
    import cv2

    from mmseg_sparsemask.deployment.onnx_predictor import read_image
    from mmseg_sparsemask.deployment.overlay import overlay
    from mmseg_sparsemask.utils.files import write_atomically

    pixels = read_image(image)
    labels = predictor(read_image(image, predictor.channels))
    picture = overlay(
        cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB),
        labels,
        predictor.classes,
        predictor.palette,
        opacity,
    )
    _, png = cv2.imencode('.png', cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    write_atomically(path, png.tobytes())


def run(args):
    from mmengine.utils import ProgressBar

    from mmseg_sparsemask.deployment import ToolboxPredictor, load_predictor

    paths = output_paths(args.images, args.out)
    args.out.mkdir(parents=True, exist_ok=True)
    if args.model:
        predictor = load_predictor(args.model, args.device)
    else:
        predictor = ToolboxPredictor(
            args.config, args.checkpoint, args.device, args.cfg_options, args.trust_checkpoint
        )
    failures = []
    progress = ProgressBar(len(paths))
    for image, path in paths.items():
        try:
            draw(predictor, image, path, args.opacity)
        except ValueError as error:
            failures.append(str(error))
        progress.update()
    print()
    for failure in failures:
        print(f'error: {failure}')
    print(f'{len(paths) - len(failures)} of {len(paths)} overlays in {args.out}')
    if failures:
        raise SystemExit(1)


def main(argv=None):
    args = parse_args(argv)
    from mmseg_sparsemask.utils.errors import one_line_errors

    with one_line_errors(RuntimeError):
        run(args)


if __name__ == '__main__':
    main()
