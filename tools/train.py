"""Train a segmentor: a search, a retraining, or any other config of the toolbox."""

import argparse
import os

from mmengine.config import DictAction
from mmengine.runner import Runner
from mmseg.registry import RUNNERS

from mmseg_sparsemask.engine.launch import (
    check_data_roots,
    enable_amp,
    load_config,
    process_group,
)
from mmseg_sparsemask.utils.files import check_work_dir


def parse_args():
    parser = argparse.ArgumentParser(description='Train a segmentor')
    parser.add_argument('config', help='train config file path')
    parser.add_argument('--work-dir', help='the dir to save logs and models')
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
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='override settings of the config, as key=value pairs; a list is key="[a,b]" or '
        'key=a,b, nested ones as key="[(a,b),(c,d)]", without white space',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher',
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def prepare(args):
    cfg = load_config(args.config, args.work_dir, args.cfg_options, args.launcher)
    cfg.resume = args.resume
    if args.amp:
        enable_amp(cfg)
    check_data_roots(cfg, ('train_dataloader', 'val_dataloader'))
    check_work_dir(cfg.work_dir)
    return cfg


def main():
    args = parse_args()
    try:
        cfg = prepare(args)
    except (OSError, ValueError) as error:
        raise SystemExit(f'error: {error}') from error
    with process_group(cfg):
        runner = Runner.from_cfg(cfg) if 'runner_type' not in cfg else RUNNERS.build(cfg)
        runner.train()


if __name__ == '__main__':
    main()
