"""Search for a dense prediction cell.

Run the same line on every machine that is to help; run it again to go on.
"""

import argparse
import os
from pathlib import Path

from mmseg_sparsemask_cli.arguments import cfg_options, parser_of, study, work_dir


def parse_args() -> argparse.Namespace:
    options = (work_dir('work_dirs/<config name>'), cfg_options(), study('<work-dir>/study.db'))
    parser = parser_of(__doc__, *options)
    parser.add_argument('config', help='search config, e.g. configs/dpc/search_mbv2_shapes.py')
    parser.add_argument('--workers', type=int, default=1, help='processes to start here')
    parser.add_argument(
        '--trials',
        type=int,
        required=True,
        help='finished trials in all, with those of earlier starts',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mmseg_sparsemask.utils.errors import one_line_errors
    from mmseg_sparsemask.utils.extras import require_extra

    message = 'interrupted; what is finished is kept: the same command goes on'
    with one_line_errors(RuntimeError, interrupted=message):
        require_extra('optuna', 'dpc')
        search(args)


def search(args: argparse.Namespace) -> None:
    from mmseg_sparsemask.dpc.search import run_search
    from mmseg_sparsemask.dpc.storage import STORAGE_VARIABLE
    from mmseg_sparsemask.launch.checks import check_data_roots, check_extras
    from mmseg_sparsemask.launch.downloads import explained_downloads
    from mmseg_sparsemask.utils.read_config import read_config

    name = Path(args.config).stem
    work_dir = Path(args.work_dir or f'work_dirs/{name}')
    cfg = read_config(args.config, args.cfg_options)
    check_extras(cfg)
    check_data_roots(cfg, ('train_dataloader', 'val_dataloader'))
    with explained_downloads(cfg):
        run_search(
            cfg,
            storage=args.storage or os.environ.get(STORAGE_VARIABLE) or str(work_dir / 'study.db'),
            study_name=args.study_name or name,
            workers=args.workers,
            trials=args.trials,
            work_dir=work_dir,
        )


if __name__ == '__main__':
    main()
