"""Methods side by side: connections, scores, parameters, multiply-adds, FPS and memory."""

from mmseg_sparsemask_cli.arguments import device, out_folder, parser_of, shape


def parse_args(argv=None):
    parser = parser_of(__doc__, shape(), device(), out_folder(said='nothing is written'))
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
        '--measure', action='store_true', help='measure FPS and peak memory, now, on this machine'
    )
    parser.add_argument('--rounds', type=int, default=20, help='turns of each model that count')
    args = parser.parse_args(argv)
    if args.rounds < 1:
        parser.error(f'--rounds: expected at least 1, got {args.rounds}')
    return args


def main(argv=None):
    args = parse_args(argv)
    from mmseg_sparsemask.utils.errors import one_line_errors

    with one_line_errors():
        run(args)


def run(args):
    from mmengine.utils import ProgressBar

    from mmseg_sparsemask.compare.measure import conditions, measure
    from mmseg_sparsemask.compare.methods import collect_methods
    from mmseg_sparsemask.compare.rows import to_csv, to_json, to_markdown
    from mmseg_sparsemask.compare.run_record import chosen_device
    from mmseg_sparsemask.compare.scatter import draw_comparison
    from mmseg_sparsemask.utils.figures import save_figure
    from mmseg_sparsemask.utils.files import write_atomically

    device = chosen_device(args.device)
    methods = collect_methods(args.configs, args.work_dirs, args.shape)
    heading = f'Multiply-adds for one {args.shape[0]}x{args.shape[1]} image.'
    if args.measure:
        warmup = 3
        turns = (args.rounds + warmup) * sum(method.model is not None for method in methods)
        progress = ProgressBar(turns)
        measure(methods, args.shape, device, args.rounds, warmup, progress.update)
        print()
        heading = conditions(args.shape, device)
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
