"""Write a folder to hand on: weights, config, connectivity, figures, scores, model card."""

import shlex
import tempfile
from pathlib import Path

from mmseg_sparsemask_cli.arguments import device, out_folder, parser_of, trust_checkpoint


def parse_args(argv=None):
    parser = parser_of(__doc__, out_folder(required=True), trust_checkpoint(), device())
    parser.add_argument('config', help='config file path, such as retrain.py')
    parser.add_argument('checkpoint', help='checkpoint file')
    scores = parser.add_mutually_exclusive_group()
    scores.add_argument(
        '--test', action='store_true', help='measure the scores on the test data set of the config'
    )
    scores.add_argument(
        '--scores',
        type=Path,
        metavar='JSON',
        help='scores of this checkpoint that tools/test.py wrote (WORK_DIR/TIME/TIME.json)',
    )
    parser.add_argument('--name', help="name of the network (default: the folder's)")
    parser.add_argument(
        '--data-set', help='name of the test data set (default: its type and split in the config)'
    )
    parser.add_argument('--license', help='licence of the weights, such as apache-2.0')
    parser.add_argument(
        '--search-dir',
        help='work directory of the search, for its figures (default: the folder of the config, if '
        'the connectivity.json there is that of the network)',
    )
    parser.add_argument('--onnx', action='store_true', help='also write model.onnx')
    return parser.parse_args(argv)


def data_set(cfg):
    """Type and split of the test data set, as text."""
    from mmseg_sparsemask.utils.registered import type_name

    dataset = cfg.test_dataloader.dataset
    parts = [dataset.get('split'), dataset.get('ann_file')]
    parts += list((dataset.get('data_prefix') or {}).values())
    part = next((shown(part) for part in parts if part), 'test')
    return f'{type_name(dataset).removesuffix("Dataset")} ({part})'


def shown(path):
    """A path as others may see it: without the folders of this machine."""
    path = Path(path)
    return path.name if path.is_absolute() or '..' in path.parts else str(path)


def measure(cfg, checkpoint, device):
    """Scores on the test data set, by the toolbox's model on a device."""
    from mmseg_sparsemask.models.pretrained import without_weights
    from mmseg_sparsemask.utils.runner import build_runner

    with tempfile.TemporaryDirectory() as work_dir:
        cfg.work_dir, cfg.load_from, cfg.launcher = work_dir, checkpoint, 'none'
        cfg.resume = False
        cfg.test_cfg = cfg.get('test_cfg') or dict(type='TestLoop')
        cfg.model = without_weights(cfg.model)
        # The runner wants all of what trains, or nothing.
        for key in ('train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler'):
            cfg[key] = None
        for key in ('val_dataloader', 'val_cfg', 'val_evaluator'):
            cfg[key] = None
        cfg.custom_hooks = []
        runner = build_runner(cfg)
        if device:
            runner.model.to(device)
        return runner.test()


def read_scores(path):
    from mmseg_sparsemask.utils.files import read_json

    values = read_json(path)
    if not isinstance(values, dict) or not all(type(v) in (int, float) for v in values.values()):
        raise ValueError(f'{path}: expected numbers by name, as test.py writes them')
    return values


def run(args):
    import mmseg_sparsemask  # noqa: F401, I001
    from mmseg_sparsemask.deployment.predictor import load_model
    from mmseg_sparsemask.deployment.publish import Scores, publish
    from mmseg_sparsemask.launch.checks import check_checkpoint, check_data_roots
    from mmseg_sparsemask.utils.read_config import read_config
    from mmseg_sparsemask_cli.main import COMMAND

    check_checkpoint(args.checkpoint)
    model = load_model(args.config, args.checkpoint, trust=args.trust_checkpoint)
    values = {}
    if args.test:
        cfg = read_config(args.config)
        check_data_roots(cfg, ('test_dataloader',))
        values = measure(cfg, args.checkpoint, args.device)
    elif args.scores:
        values = read_scores(args.scores)
    values = {
        key: round(float(value), 4) for key, value in values.items() if not key.endswith('time')
    }
    scores = Scores()
    if values:
        # For those who read the card elsewhere.
        command = shlex.join([COMMAND, 'test', shown(args.config), shown(args.checkpoint)])
        scores = Scores(values, args.data_set or data_set(model.cfg), command)
    size = model.cfg.model.get('data_preprocessor', {}).get('size') or (512, 512)
    name = args.name or Path(args.out).resolve().name
    files = publish(
        model,
        args.out,
        name,
        scores,
        args.search_dir or Path(args.config).parent,
        args.onnx,
        (int(size[0]), int(size[-1])),
        args.license,
    )
    print(f'written to {args.out}: {", ".join(path.name for path in files)}')
    if not values:
        print('no scores: measure them with --test, or give them with --scores')
    print(f'load it with: mmseg_sparsemask.deployment.load_published({str(args.out)!r})')


def main(argv=None):
    args = parse_args(argv)
    from mmseg_sparsemask.utils.errors import one_line_errors

    with one_line_errors(RuntimeError):
        run(args)


if __name__ == '__main__':
    main()
