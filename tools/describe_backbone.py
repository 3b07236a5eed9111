"""Print the features that a config's backbone gives, and the lines a decode head needs for them."""

from mmseg_sparsemask_cli.arguments import cfg_options, parser_of, shape


def parse_args(argv=None):
    parser = parser_of(__doc__, shape(), cfg_options())
    parser.add_argument('config', help='config file path')
    return parser.parse_args(argv)


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
    from mmseg_sparsemask.utils.read_config import heads_of, read_config

    cfg = read_config(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    model = cfg.get('model', {})
    description = describe_backbone(model, args.shape)
    print(feature_table(description))
    print(f'\n{config_lines(description.features)}')
    for key, head in heads_of(model):
        if mismatch := head_mismatch(head, description.features):
            print(f'\n{key} of this config does not fit: {mismatch}')


if __name__ == '__main__':
    main()
