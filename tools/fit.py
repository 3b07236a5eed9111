"""Train several decoders on your images, compare them, and export the best."""

import os
import re
from math import inf
from pathlib import Path

from mmseg_sparsemask_cli.arguments import cost, device, out_folder, parser_of

TOOLS = Path(__file__).resolve().parent


def parse_args(argv=None):
    parser = parser_of(__doc__, device(), out_folder('work_dirs/fit'))
    parser.add_argument('images', type=Path, help='folder of images')
    parser.add_argument('masks', type=Path, help='folder of masks, named as the images')
    parser.add_argument(
        '--encoder',
        default='mobilenet_v2',
        help='mobilenet_v2, efficientnet-lite0, resnet50, small, timm:NAME, or a config with a '
        'backbone (default: mobilenet_v2)',
    )
    parser.add_argument(
        '--weights',
        type=Path,
        metavar='FILE',
        help="the encoder's weights, or none to start from scratch (default: ImageNet's, if they "
        'are here or can be fetched)',
    )
    parser.add_argument(
        '--classes', help='names, joined by commas, or a file with one class a line'
    )
    parser.add_argument(
        '--minutes', type=cost, default=30.0, help='total time to spend (default: 30)'
    )
    parser.add_argument(
        '--latency', type=cost, metavar='20ms', help='most time of the network for one image'
    )
    parser.add_argument(
        '--parameters', type=cost, metavar='N', help='most parameters of the whole network'
    )
    parser.add_argument('--resume', action='store_true', help='go on with what is in --out')
    args = parser.parse_args(argv)
    if args.device:
        try:
            args.visible = visible(args.device)
        except (IndexError, TypeError):
            parser.error(
                f'--device: expected cpu, cuda or the N of a GPU in cuda:N, got {args.device}'
            )
    return args


def visible(device):
    """What CUDA_VISIBLE_DEVICES has to be: the trainings take the GPU that they see."""
    if device == 'cpu':
        return ''
    number = int(re.fullmatch('cuda(?::([0-9]+))?', device)[1] or 0)
    allowed = os.environ.get('CUDA_VISIBLE_DEVICES')
    return str(number) if allowed is None else allowed.split(',')[number]


def main(argv=None):
    args = parse_args(argv)
    if args.device:
        os.environ['CUDA_VISIBLE_DEVICES'] = args.visible
        args.device = args.device.partition(':')[0]
    from mmseg_sparsemask.utils.commands import end_on_signals
    from mmseg_sparsemask.utils.errors import one_line_errors

    end_on_signals()
    interrupted = 'interrupted; the same command with --resume goes on'
    with one_line_errors(interrupted=interrupted):
        import mmseg_sparsemask  # noqa: F401
        from mmseg_sparsemask.fit.job import Asked, Limits, fit
        from mmseg_sparsemask.utils.files import check_work_dir

        check_work_dir(args.out, '--out')
        asked = Asked(
            *(args.images, args.masks, args.encoder, args.weights, args.classes, args.minutes),
            Limits(args.latency or inf, args.parameters or inf),
        )
        print(fit(asked, args.out, TOOLS, args.device, args.resume))


if __name__ == '__main__':
    main()
