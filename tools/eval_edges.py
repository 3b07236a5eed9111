"""Score boundary maps of any program: ODS, OIS, AP, R50, tables and the precision-recall plot."""

from mmseg_sparsemask_cli.arguments import out_folder, parser_of


def parse_args():
    parser = parser_of(__doc__, out_folder(said='PRED_DIR-eval'))
    parser.add_argument('pred_dir', help='predictions: grey PNG (8 or 16 bits) or .mat, one a file')
    parser.add_argument('gt_dir', help='annotations: .mat of BSDS500 or PNG, with the same names')
    parser.add_argument('--title', default='prediction', help='name of the curve in the plot')
    parser.add_argument('--thresholds', type=int, default=99, help='number of cut levels')
    parser.add_argument(
        '--max-dist',
        type=float,
        default=0.0075,
        help='largest distance of a match, as a share of the diagonal',
    )
    parser.add_argument('--no-nms', action='store_true', help='the maps are already thinned')
    parser.add_argument(
        '--workers',
        type=int,
        help='processes (0: only this one; default: one for each core, at most 16)',
    )
    return parser.parse_args()


def count(name, pred_path, gt_path, thresholds, max_dist, nms):
    """Read and match one image; runs in a process of its own."""
    from mmseg_sparsemask.edges.files import read_annotations, read_prediction
    from mmseg_sparsemask.edges.scores import evaluate_image

    pred, targets = read_prediction(pred_path), read_annotations(gt_path)
    return evaluate_image(pred, list(targets), thresholds, max_dist, nms, name=name)


def main():
    args = parse_args()
    from mmseg_sparsemask.utils.errors import one_line_errors

    with one_line_errors(RuntimeError):
        evaluate(args)


def evaluate(args):
    from mmseg_sparsemask.edges.files import find_pairs
    from mmseg_sparsemask.edges.report import score_dict, write_scores
    from mmseg_sparsemask.edges.scores import default_thresholds, summarise
    from mmseg_sparsemask.edges.workers import WorkerPool, gather
    from mmseg_sparsemask.utils.files import check_work_dir
    from mmseg_sparsemask.utils.words import counted

    out = args.out or args.pred_dir.rstrip('/\\') + '-eval'
    thresholds = default_thresholds(args.thresholds)
    pairs = find_pairs(args.pred_dir, args.gt_dir)
    # Scoring takes long: whether the result can be written shows before.
    check_work_dir(out, '--out')
    pool = WorkerPool(args.workers, ['mmseg_sparsemask.edges.scores'])
    settings = (thresholds, args.max_dist, not args.no_nms)
    try:
        counts = gather([pool.submit(count, *pair, *settings) for pair in pairs], progress=True)
    finally:
        pool.close()
    scores = summarise(counts, thresholds)
    write_scores(scores, [name for name, *_ in pairs], out, args.title)
    print('  '.join(f'{key} {value:.3f}' for key, value in score_dict(scores).items()))
    print(f'{counted(len(pairs), "image")}; tables and plot in {out}')


if __name__ == '__main__':
    main()
