"""Print the features that a config's backbone gives, and the lines a decode head needs for them."""

import argparse

from mmengine.config import Config, DictAction


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file path')
    parser.add_argument(
        '--shape',
        type=int,
        nargs='+',
        default=[512],
        help='input image size, one number or height and width',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='override settings of the config, as key=value pairs',
    )
    args = parser.parse_args(argv)
    if len(args.shape) > 2 or min(args.shape) < 1:
        parser.error(f'--shape: expected one or two positive numbers, got {args.shape}')
    return args


def main(argv=None):
    args = parse_args(argv)
    from mmseg_sparsemask.utils.errors import one_line_errors

    with one_line_errors():
        run(args)


def run(args):
    from mmengine.registry import init_default_scope

    from mmseg_sparsemask.models.describe import (
        config_lines,
        describe_backbone,
        feature_table,
        head_mismatch,
    )

    cfg = Config.fromfile(args.config)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    image_size = (args.shape[0], args.shape[-1])
    model = cfg.get('model', {})
    description = describe_backbone(model, image_size)
    print(feature_table(description))
    print(f'\n{config_lines(description.features)}')
    mismatch = head_mismatch(model.get('decode_head') or {}, description.features)
    if mismatch:
        print(f'\ndecode_head of this config does not fit: {mismatch}')


if __name__ == '__main__':
    main()
