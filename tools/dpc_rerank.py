"""Train the best cells of a search end to end, and report Spearman's rank correlation."""

import argparse
import os
from pathlib import Path

from mmseg_sparsemask_cli.arguments import cfg_options, parser_of, study, work_dir


def parse_args() -> argparse.Namespace:
    parser = parser_of(
        __doc__,
        work_dir('work_dirs/<config name>/rerank'),
        cfg_options('the training config (dpc_search.retrain)'),
        study('work_dirs/<config name>/study.db'),
    )
    parser.add_argument('config', help='the search config')
    parser.add_argument('--top', type=int, default=5, help='how many cells to train')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mmseg_sparsemask.utils.errors import one_line_errors
    from mmseg_sparsemask.utils.extras import require_extra

    with one_line_errors(interrupted='interrupted; the same command goes on'):
        require_extra('optuna', 'dpc')
        rerank(args)


def rerank(args: argparse.Namespace) -> None:
    from mmseg_sparsemask.dpc.rerank import run_rerank, training_config
    from mmseg_sparsemask.dpc.storage import STORAGE_VARIABLE
    from mmseg_sparsemask.launch.checks import check_data_roots, check_extras
    from mmseg_sparsemask.launch.downloads import explained_downloads
    from mmseg_sparsemask.utils.read_config import read_config

    name = Path(args.config).stem
    search_dir = Path('work_dirs') / name
    cfg = read_config(args.config)
    training = training_config(cfg, args.cfg_options)
    check_extras(training)
    check_data_roots(training, ('train_dataloader', 'val_dataloader'))
    with explained_downloads(training):
        run_rerank(
            cfg,
            storage=args.storage
            or os.environ.get(STORAGE_VARIABLE)
            or str(search_dir / 'study.db'),
            study_name=args.study_name or name,
            top=args.top,
            work_dir=args.work_dir or search_dir / 'rerank',
            options=args.cfg_options,
        )


if __name__ == '__main__':
    main()
