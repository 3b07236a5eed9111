"""Test a segmentor and evaluate its predictions."""

import os

from mmseg_sparsemask_cli.arguments import (
    cfg_options,
    launcher,
    out_folder,
    parser_of,
    trust_checkpoint,
    work_dir,
)


def parse_args():
    parser = parser_of(
        __doc__,
        trust_checkpoint(),
        work_dir('that of the config, else work_dirs/<config name>'),
        out_folder(said='predicted label maps are not written'),
        cfg_options(),
        launcher(),
    )
    parser.add_argument('config', help='train config file path')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--allow-mismatch',
        action='store_true',
        help='test although the checkpoint is not of this network: what is not in it stays random',
    )
    parser.add_argument('--show', action='store_true', help='show prediction results')
    parser.add_argument(
        '--show-dir',
        help='the dir to save painted images (in its vis_data/vis_image)',
    )
    parser.add_argument('--wait-time', type=float, default=2, help='the interval of show (s)')
    parser.add_argument('--tta', action='store_true', help='test with several scales and flipped')
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def prepare(args):
    from mmseg_sparsemask.launch.checks import check_checkpoint, check_data_roots, check_extras
    from mmseg_sparsemask.launch.config import load_config
    from mmseg_sparsemask.launch.evaluation_options import (
        enable_drawing,
        enable_tta,
        write_predictions_to,
    )
    from mmseg_sparsemask.utils.files import check_work_dir

    cfg = load_config(args.config, args.work_dir, args.cfg_options, args.launcher)
    # A config that goes on by itself would take up a whole training from this checkpoint.
    cfg.load_from, cfg.resume = args.checkpoint, False
    check_checkpoint(args.checkpoint)
    if args.show or args.show_dir:
        enable_drawing(cfg, args.show, args.show_dir, args.wait_time)
    if args.tta:
        enable_tta(cfg)
    if args.out is not None:
        write_predictions_to(cfg, args.out)
    check_extras(cfg)
    check_data_roots(cfg, ('test_dataloader',))
    check_work_dir(cfg.work_dir)
    return cfg


def main():
    args = parse_args()
    from mmseg_sparsemask.launch.processes import end_rank, process_group
    from mmseg_sparsemask.models.pretrained import without_weights
    from mmseg_sparsemask.utils.checkpoints import load_checkpoint, load_strictly
    from mmseg_sparsemask.utils.errors import one_line_errors
    from mmseg_sparsemask.utils.runner import build_runner

    with one_line_errors():
        cfg = prepare(args)
        # MMSegmentation runs what is in a file that it cannot read as data.
        checkpoint = load_checkpoint(args.checkpoint, args.trust_checkpoint)
        if not args.allow_mismatch:
            # All of them are in the checkpoint: none are fetched.
            cfg.model = without_weights(cfg.model)
        with process_group(cfg):
            runner = build_runner(cfg)
            if not args.allow_mismatch:
                load_strictly(runner.model, checkpoint, args.checkpoint)
            runner.test()
    end_rank(args.launcher)


if __name__ == '__main__':
    main()
