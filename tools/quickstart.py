"""The main job on the embedded data set: search, prune, train on, test, in one command.

Every step is a command that a user can type; it is shown before it runs, so the same job on other
data needs nothing but another config. Two steps run at a time, on one thread each, whatever the
number of cores: so the results are the same.
"""

import argparse
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

from prettytable import PrettyTable

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ('connectivity.svg', 'connection_weights.svg')
SAMPLES = 4


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--config',
        default=shown_path(ROOT / 'configs/sparsemask/fdn_mbv2_shapes.py'),
        help='search config with a PruneHook that names a retrain config (default: %(default)s)',
    )
    parser.add_argument(
        '--work-dir', default='work_dirs/quickstart', help='where results go (%(default)s)'
    )
    parser.add_argument(
        '--baseline',
        default=shown_path(ROOT / 'configs/sparsemask/unet_mbv2_shapes.py'),
        metavar='CONFIG',
        help='config to train and test for comparison (default: %(default)s)',
    )
    parser.add_argument(
        '--no-baseline',
        dest='baseline',
        action='store_const',
        const=None,
        help='compare with nothing',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='settings to override, handed to the command of every step',
    )
    return parser.parse_args(argv)


def shown_path(path):
    """A path as a user would type it: relative when it lies below the working directory."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith(os.pardir) else relative


def environment():
    """Environment of a step."""
    return {**os.environ, 'OMP_NUM_THREADS': '1', 'MKL_NUM_THREADS': '1'}


def train(name, config, work_dir, options, stop):
    """Train a config until `stop` is set; return its last checkpoint and the seconds it took."""
    from mmseg_sparsemask.utils.commands import run_tool

    total = loaded(config, options).train_cfg.max_iters
    tool = shown_path(ROOT / 'tools/train.py')
    seconds = run_tool(
        f'{name}: train',
        tool,
        config,
        work_dir=work_dir,
        total=total,
        options=options,
        env=environment(),
        stop=stop,
    )
    return Path((work_dir / 'last_checkpoint').read_text().strip()), seconds


def test(name, config, checkpoint, work_dir, options):
    """Test a checkpoint and save its predictions; return the mIoU in percent."""
    from mmseg_sparsemask.utils.commands import run_tool

    run_tool(
        f'{name}: test',
        shown_path(ROOT / 'tools/test.py'),
        config,
        shown_path(checkpoint),
        *('--out', work_dir / 'predictions'),
        work_dir=work_dir / 'test',
        options=options,
        env=environment(),
    )
    newest = max((work_dir / 'test').glob('*/*.json'), key=lambda path: path.stat().st_mtime)
    return json.loads(newest.read_text())['mIoU']


def write_samples(config, options, predictions, out_dir, count=SAMPLES):
    """Draw image, label and prediction of the first test images side by side; return the paths.

    Args:
        config: The config that was tested.
        options: What overrides it, as ``key=value``.
        predictions: Folder with the label maps that ``tools/test.py --out`` wrote.
        out_dir: Folder for the pictures.
        count: How many images.
    """
    import cv2
    import numpy as np
    from mmengine.registry import init_default_scope
    from mmseg.registry import DATASETS

    cfg = loaded(config, options)
    init_default_scope('mmseg')
    data = DATASETS.build(cfg.test_dataloader.dataset)
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(data.metainfo['palette'])] = data.metainfo['palette']
    written = []
    for index in range(min(count, len(data))):
        item = data[index]
        sample = item['data_samples']
        label = sample.gt_sem_seg.data[0].numpy().astype(np.uint8)
        name = f'{Path(sample.img_path).stem}.png'
        prediction = cv2.imread(str(predictions / name), cv2.IMREAD_UNCHANGED)
        image = cv2.resize(item['inputs'].numpy().transpose(1, 2, 0), label.shape[::-1])
        # The palette is RGB, the files BGR.
        panels = [image, palette[label][..., ::-1], palette[prediction][..., ::-1]]
        gap = np.full((len(label), 4, 3), 255, np.uint8)
        row = np.hstack([panels[0], gap, panels[1], gap, panels[2]])
        factor = max(1, 256 // len(label))
        row = cv2.resize(row, None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST)
        written.append(out_dir / f'sample_{name}')
        if not cv2.imwrite(str(written[-1]), row):
            raise SystemExit(f'cannot write {written[-1]}')
    return written


def loaded(config, options):
    """A config with ``key=value`` strings merged in as ``--cfg-options`` does it."""
    from mmengine.config import Config, DictAction

    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={})
    given = parser.parse_args(['--cfg-options', *options] if options else []).cfg_options
    cfg = Config.fromfile(config)
    cfg.merge_from_dict(given)
    return cfg


def sizes(config, options):
    """Connections and decoder parameters of a config's decoder, as text; empty for others."""
    from mmseg_sparsemask.connectivity import DecoderShape, preset, resolve

    head = loaded(config, options).model.decode_head
    if 'strides' not in head:
        return '', ''
    classes = head.get('out_channels') or head.num_classes
    shape = DecoderShape(head.strides, head.in_channels, head.channels, classes)
    if head.type == 'FDNHead':
        found = preset('fdn', head.strides)
    else:
        given = head.connectivity
        found = resolve(given if isinstance(given, str) else given.to_dict(), head.strides)
    return str(len(found)), f'{shape.cost(found).parameters:,}'


def main(argv=None):
    args = parse_args(argv)
    start = time.perf_counter()
    from mmseg_sparsemask.utils.commands import clock
    from mmseg_sparsemask.utils.errors import one_line_errors
    from mmseg_sparsemask.utils.files import check_work_dir

    work_dir, options = Path(args.work_dir), args.cfg_options
    with one_line_errors():
        check_work_dir(work_dir)
    finetune, retrain = work_dir / 'finetune.py', work_dir / 'retrain.py'

    def row(name, config, checkpoint, folder, seconds):
        score = test(name, config, checkpoint, folder, options)
        time_shown = clock(seconds) if seconds else '-'
        return name, *sizes(config, options), f'{score:.1f}', time_shown

    def trained(name, config):
        folder = work_dir / Path(config).stem
        checkpoint, seconds = train(name, config, folder, options, stop)
        return row(name, config, checkpoint, folder, seconds)

    stop = Event()
    with ThreadPoolExecutor(max_workers=2) as pool:
        try:
            search = pool.submit(train, 'supernet', args.config, work_dir, options, stop)
            others = []
            if args.baseline:
                others.append(pool.submit(trained, Path(args.baseline).stem, args.baseline))
            checkpoint, seconds = search.result()
            if not retrain.is_file():
                raise SystemExit(
                    f'error: no {retrain}; give the PruneHook in {args.config} a retrain_config'
                )
            # The longest first, so that both processes are busy to the end.
            scratch = pool.submit(trained, 'pruned, from scratch', retrain)
            tuned = pool.submit(trained, 'pruned, fine-tuned', finetune)
            pruned = ('pruned, not trained', finetune, work_dir / 'pruned.pth', work_dir / 'pruned')
            found = [
                pool.submit(
                    row, 'supernet', args.config, checkpoint, work_dir / 'supernet', seconds
                ),
                pool.submit(row, *pruned, 0),
            ]
            rows = [future.result() for future in [*found, tuned, scratch, *others]]
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    samples = write_samples(finetune, options, work_dir / 'finetune/predictions', work_dir)
    print(f'\n{table(rows)}\ntotal {clock(time.perf_counter() - start)}\n\nfigures')
    for path in [*(work_dir / name for name in FIGURES), *samples]:
        print(f'  {path}')


def table(rows):
    """The rows as text."""
    text = PrettyTable(
        ['decoder', 'connections', 'decoder parameters', 'mIoU (test)', 'training time']
    )
    text.add_rows(rows)
    text.align = 'r'
    text.align['decoder'] = 'l'
    return text.get_string()


if __name__ == '__main__':
    main()
