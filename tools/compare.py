"""Methods side by side: connections, scores, parameters, multiply-adds, FPS and memory."""

import argparse
from pathlib import Path


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'configs',
        nargs='+',
        help='config file paths; a search gives a row for each way of training',
    )
    parser.add_argument(
        '--work-dirs',
        nargs='+',
        default=['work_dirs'],
        metavar='DIR',
        help='folders that hold a work directory named as each config; several (one for each '
        'seed) give mean and standard deviation',
    )
    parser.add_argument(
        '--shape',
        type=int,
        nargs='+',
        default=[512],
        help='input image size, one number or height and width',
    )
    parser.add_argument(
        '--measure', action='store_true', help='measure FPS and peak memory, now, on this machine'
    )
    parser.add_argument('--rounds', type=int, default=20, help='turns of each model that count')
    parser.add_argument('--device', help='device to measure on (default: cuda if there is one)')
    parser.add_argument(
        '--out', type=Path, metavar='DIR', help='write compare.md, .csv, .json and .svg here'
    )
    args = parser.parse_args(argv)
    if len(args.shape) > 2 or min(args.shape) < 1:
        parser.error(f'--shape: expected one or two positive numbers, got {args.shape}')
    if args.rounds < 1:
        parser.error(f'--rounds: expected at least 1, got {args.rounds}')
    return args


def main(argv=None):
    args = parse_args(argv)
    from mmseg_sparsemask.utils.errors import one_line_errors

    with one_line_errors():
        run(args)


def run(args):
    import torch
    from mmengine.utils import ProgressBar

    from mmseg_sparsemask.compare.measure import conditions, measure
    from mmseg_sparsemask.compare.methods import collect_methods
    from mmseg_sparsemask.compare.rows import to_csv, to_json, to_markdown
    from mmseg_sparsemask.compare.scatter import draw_comparison
    from mmseg_sparsemask.utils.figures import save_figure
    from mmseg_sparsemask.utils.files import write_atomically

    device = args.device or ('cuda' if torch.cuda.is_available() else 'cpu')
    image_size = (args.shape[0], args.shape[-1])
    methods = collect_methods(args.configs, args.work_dirs, image_size)
    heading = f'Multiply-adds for one {image_size[0]}x{image_size[1]} image.'
    if args.measure:
        warmup = 3
        turns = (args.rounds + warmup) * sum(method.model is not None for method in methods)
        progress = ProgressBar(turns)
        measure(methods, image_size, device, args.rounds, warmup, progress.update)
        print()
        heading = conditions(image_size, device)
        if device == 'cpu':
            heading += ' Peak memory is measured on GPUs only.'
    rows = [method.row for method in methods]
    text = to_markdown(rows, args.measure, heading)
    print(text)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        write_atomically(args.out / 'compare.md', text)
        write_atomically(args.out / 'compare.csv', to_csv(rows))
        write_atomically(args.out / 'compare.json', to_json(rows))
        save_figure(draw_comparison(rows), args.out / 'compare.svg')
        print(f'written to {args.out}: compare.md, compare.csv, compare.json, compare.svg')


if __name__ == '__main__':
    main()
