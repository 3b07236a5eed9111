"""The main job on the embedded data set: search, prune, train on, test, in one command.

Every step is a command that a user can type; it is shown before it runs, so the same job on other
data needs nothing but another config.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

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


def new_records(path, offset):
    """Records that a run has added to its scalars.json since `offset`, and where it ends now."""
    with path.open('rb') as file:
        file.seek(offset)
        lines = file.read().split(b'\n')
    # The last piece is a line that is still being written, or nothing.
    done = lines[:-1]
    return [json.loads(line) for line in done], offset + sum(len(line) + 1 for line in done)


def shown(record, total):
    """What a user wants to see of a record of scalars.json; None for other records."""
    if 'loss' not in record:
        return None
    left = (total - record['step']) * record['time']
    text = (
        f'iteration {record["step"]:{len(str(total))}}/{total}  eta {clock(left)}  '
        f'loss {record["loss"]:.3f}'
    )
    if 'connections' in record:
        text += (
            f'  if pruned now {record["connections"]:.0f} connections '
            f'(dropped <= {record["largest_dropped"]:.2g}, '
            f'kept >= {record.get("smallest_kept", 0):.2g})'
        )
    return text


def follow(process, work_dir, total, start):
    """Print the progress of a training until its process ends."""
    path, offset = None, 0
    while True:
        running = process.poll() is None
        if path is None:
            files = work_dir.glob('*/vis_data/scalars.json')
            path = next((file for file in files if file.stat().st_mtime >= start), None)
        if path is not None:
            records, offset = new_records(path, offset)
            for line in filter(None, (shown(record, total) for record in records)):
                print(f'   {line}', flush=True)
        if not running:
            return
        time.sleep(0.5)


def run(title, tool, *arguments, work_dir, total=0, options=()):
    """Run a tool of this folder, show its progress, return the seconds it took.

    Args:
        title: Of the step.
        tool: Name of the file.
        arguments: For the tool.
        work_dir: Where the run writes its scalars, and this tool the run's output.
        total: Iterations of a training; 0 shows no progress.
        options: For the tool's ``--cfg-options``.

    Raises:
        SystemExit: When it fails, with the end of its output.
    """
    arguments = [shown_path(ROOT / 'tools' / tool), *map(str, arguments)]
    arguments += ['--work-dir', str(work_dir)]
    arguments += ['--cfg-options', *options] if options else []
    print(f'\n== {title}\n$ python {shlex.join(arguments)}', flush=True)
    work_dir.mkdir(parents=True, exist_ok=True)
    begun, start = time.perf_counter(), time.time()
    log = work_dir / 'output.log'
    with log.open('w') as output:
        process = subprocess.Popen(
            [sys.executable, '-u', *arguments], stdout=output, stderr=subprocess.STDOUT
        )
        try:
            if total:
                follow(process, work_dir, total, start)
            process.wait()
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        tail = '\n'.join(log.read_text(errors='replace').splitlines()[-30:])
        raise SystemExit(f'{tail}\n{title} failed (exit status {process.returncode})')
    seconds = time.perf_counter() - begun
    print(f'   done in {clock(seconds)}', flush=True)
    return seconds


def clock(seconds):
    """Minutes and seconds, ``3:07``."""
    return f'{int(seconds + 0.5) // 60}:{int(seconds + 0.5) % 60:02}'


def train(name, config, work_dir, options):
    """Train a config; return its last checkpoint and the seconds it took."""
    total = loaded(config, options).train_cfg.max_iters
    seconds = run(
        f'{name}: train', 'train.py', config, work_dir=work_dir, total=total, options=options
    )
    return Path((work_dir / 'last_checkpoint').read_text().strip()), seconds


def test(name, config, checkpoint, work_dir, options):
    """Test a checkpoint and save its predictions; return the mIoU in percent."""
    run(
        f'{name}: test',
        'test.py',
        config,
        shown_path(checkpoint),
        *('--out', work_dir / 'predictions'),
        work_dir=work_dir / 'test',
        options=options,
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
    from mmseg_sparsemask.connectivity import decoder_cost, preset, resolve, supernet_parameters

    head = loaded(config, options).model.decode_head
    if 'strides' not in head:
        return '', ''
    shape = (head.in_channels, head.channels, head.get('out_channels') or head.num_classes)
    if head.type == 'FDNHead':
        full = preset('fdn', head.strides)
        return str(len(full)), f'{supernet_parameters(full, *shape):,}'
    given = head.connectivity
    found = resolve(given if isinstance(given, str) else given.to_dict(), head.strides)
    return str(len(found)), f'{decoder_cost(found, *shape).parameters:,}'


def main(argv=None):
    args = parse_args(argv)
    start = time.perf_counter()
    from mmseg_sparsemask.utils.files import check_work_dir

    work_dir, options = Path(args.work_dir), args.cfg_options
    try:
        check_work_dir(work_dir)
    except ValueError as error:
        raise SystemExit(f'error: {error}') from None
    finetune, retrain = work_dir / 'finetune.py', work_dir / 'retrain.py'
    rows = []

    def add(name, config, checkpoint, folder, seconds):
        score = test(name, config, checkpoint, folder, options)
        time_shown = clock(seconds) if seconds else '-'
        rows.append((name, *sizes(config, options), f'{score:.1f}', time_shown))

    checkpoint, seconds = train('supernet', args.config, work_dir, options)
    if not retrain.is_file():
        raise SystemExit(
            f'error: no {retrain}; give the PruneHook in {args.config} a retrain_config'
        )
    add('supernet', args.config, checkpoint, work_dir / 'supernet', seconds)
    add('pruned, not trained', finetune, work_dir / 'pruned.pth', work_dir / 'pruned', 0)
    trainings = [('pruned, fine-tuned', finetune), ('pruned, from scratch', retrain)]
    if args.baseline:
        trainings.append((Path(args.baseline).stem, args.baseline))
    for name, config in trainings:
        folder = work_dir / Path(config).stem
        checkpoint, seconds = train(name, config, folder, options)
        add(name, config, checkpoint, folder, seconds)
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
