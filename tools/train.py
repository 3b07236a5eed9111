"""Train a segmentor: a search, a retraining, or any other config of the toolbox."""

import os
from contextlib import ExitStack, nullcontext

from mmseg_sparsemask_cli.arguments import cfg_options, launcher, parser_of, work_dir


def parse_args():
    parser = parser_of(
        __doc__,
        work_dir('that of the config, else work_dirs/<config name>'),
        cfg_options(),
        launcher(),
    )
    parser.add_argument('config', help='train config file path')
    parser.add_argument(
        '--resume',
        action='store_true',
        help='resume from the latest checkpoint in the work_dir automatically',
    )
    parser.add_argument(
        '--amp',
        action='store_true',
        help='train in mixed precision (on a CPU: bfloat16 autocast)',
    )
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def prepare(args):
    from mmseg_sparsemask.launch.amp import enable_amp
    from mmseg_sparsemask.launch.checks import (
        check_classes,
        check_data_roots,
        check_extras,
        check_features,
        check_unused_end,
        warn_without_pruning,
    )
    from mmseg_sparsemask.launch.config import load_config
    from mmseg_sparsemask.launch.data_checks import check_images
    from mmseg_sparsemask.launch.processes import is_first_process
    from mmseg_sparsemask.launch.setting_checks import check_settings
    from mmseg_sparsemask.utils.files import check_work_dir
    from mmseg_sparsemask.utils.read_config import draw_by_iteration

    cfg = load_config(args.config, args.work_dir, args.cfg_options, args.launcher)
    draw_by_iteration(cfg)
    if args.amp:
        enable_amp(cfg)
    check_extras(cfg)
    check_settings(cfg)
    check_data_roots(cfg, ('train_dataloader', 'val_dataloader'))
    check_work_dir(cfg.work_dir)
    if is_first_process():
        check_classes(cfg, 'train_dataloader')
        check_images(cfg)
        check_features(cfg)
        check_unused_end(cfg)
        warn_without_pruning(cfg)
    return cfg


def choose_checkpoint(cfg, args):
    """Let the run go on with its newest readable checkpoint, or start."""
    from mmseg_sparsemask.launch.processes import is_first_process
    from mmseg_sparsemask.utils.checkpoints import LAST_CHECKPOINT, checkpoint_to_resume
    from mmseg_sparsemask.utils.work_dir import keep_earlier

    cfg.resume = args.resume or cfg.get('resume', False)
    if args.resume:
        # Also before `load_from`, which says where a run starts, as in fine-tuning.
        path, reasons = checkpoint_to_resume(cfg.work_dir)
        for reason in reasons:
            print(f'not resumed from: {reason}', flush=True)
        if path is None:
            print(f'{cfg.work_dir}: no {LAST_CHECKPOINT} to resume from; starting', flush=True)
            cfg.resume = False
        else:
            cfg.load_from = str(path)
    elif is_first_process() and not cfg.resume:
        # A kill before the first checkpoint would let this run resume another one.
        keep_earlier(cfg.work_dir, [LAST_CHECKPOINT])


def main():
    args = parse_args()
    from mmseg_sparsemask.utils.errors import one_line_errors

    interrupted = 'interrupted; the same command with --resume goes on'
    with one_line_errors(interrupted=interrupted), ExitStack() as stack:
        run(args, stack)
    # Imports torch, so it comes late: an interruption before the run is one line, too.
    from mmseg_sparsemask.launch.processes import end_rank

    end_rank(args.launcher)


def run(args, stack):
    from mmseg_sparsemask.launch.downloads import explained_downloads
    from mmseg_sparsemask.launch.processes import is_first_process, process_group
    from mmseg_sparsemask.utils.runner import build_runner
    from mmseg_sparsemask.utils.work_dir import lock_work_dir

    cfg = prepare(args)
    stack.enter_context(lock_work_dir(cfg.work_dir) if is_first_process() else nullcontext())
    choose_checkpoint(cfg, args)
    with process_group(cfg), explained_downloads(cfg):
        runner = build_runner(cfg)
        runner.train()


if __name__ == '__main__':
    main()
