"""The main job on the embedded data set: search, prune, retrain, test, in one command.

Every step is a command that a user can type; it is shown before it runs, so the same job on other
data needs nothing but another config.
"""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

from prettytable import PrettyTable

from mmseg_sparsemask.connectivity import decoder_cost, preset, resolve, supernet_parameters

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ('connectivity.svg', 'connection_weights.svg')
SAMPLES = 4

_TRAIN_LINE = re.compile(
    r'Iter\(train\) \[ *(?P<step>\d+)/(?P<end>\d+)\].* eta: (?P<eta>[\d:, day]+?) +time:'
    r'.*? loss: (?P<loss>\S+)'
)
_PRUNE_LINE = re.compile(
    r'if pruned now: (?P<live>\d+) of (?P<total>\d+) connections, largest dropped weight '
    r'(?P<dropped>\S+), smallest kept (?P<kept>[^\s,]+)'
)


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
        nargs='?',
        const=shown_path(ROOT / 'configs/sparsemask/fcn_mbv2_shapes.py'),
        metavar='CONFIG',
        help='also train and test this config for comparison (without CONFIG: %(const)s)',
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


def progress(lines):
    """What a user wants to see of the lines of a log, one string per logged iteration.

    What PruneHook says of an iteration comes before the iteration's own line.
    """
    found = ''
    for line in lines:
        if match := _PRUNE_LINE.search(line):
            found = (
                f'  if pruned now {match["live"]} of {match["total"]} connections '
                f'(dropped <= {match["dropped"]}, kept >= {match["kept"]})'
            )
        elif match := _TRAIN_LINE.search(line):
            width = len(match['end'])
            yield (
                f'iteration {int(match["step"]):{width}}/{match["end"]}  '
                f'eta {match["eta"]}  loss {float(match["loss"]):.3f}{found}'
            )
            found = ''


def kept(lines, tail):
    """Pass lines through, and remember the last ones in `tail`."""
    for line in lines:
        tail.append(line)
        yield line


def run(title, tool, *arguments, options=()):
    """Run a tool of this folder, show its progress, return the seconds it took.

    Raises:
        SystemExit: When it fails, with the end of its output.
    """
    arguments = [shown_path(ROOT / 'tools' / tool), *map(str, arguments)]
    arguments += ['--cfg-options', *options] if options else []
    print(f'\n== {title}\n$ python {shlex.join(arguments)}', flush=True)
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, '-u', *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors='replace',
    )
    tail = deque(maxlen=30)
    with process:
        try:
            for shown in progress(kept(process.stdout, tail)):
                print(f'   {shown}', flush=True)
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise SystemExit(f'{"".join(tail)}\n{title} failed (exit status {process.returncode})')
    seconds = time.perf_counter() - start
    print(f'   done in {clock(seconds)}', flush=True)
    return seconds


def clock(seconds):
    """Minutes and seconds, ``3:07``."""
    return f'{int(seconds + 0.5) // 60}:{int(seconds + 0.5) % 60:02}'


def train_and_test(name, config, work_dir, options):
    """Train and test a config; return its mIoU and the seconds of both steps."""
    train = run(f'{name}: train', 'train.py', config, '--work-dir', work_dir, options=options)
    checkpoint = Path((work_dir / 'last_checkpoint').read_text().strip())
    test = run(
        f'{name}: test',
        'test.py',
        config,
        shown_path(checkpoint),
        *('--work-dir', work_dir / 'test', '--out', work_dir / 'predictions'),
        options=options,
    )
    newest = max((work_dir / 'test').glob('*/*.json'), key=lambda path: path.stat().st_mtime)
    return json.loads(newest.read_text())['mIoU'], train, test


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
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmseg.registry import DATASETS

    cfg = Config.fromfile(config)
    cfg.merge_from_dict(parsed(options))
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


def parsed(options):
    """``key=value`` strings as the toolbox's ``--cfg-options`` reads them."""
    from mmengine.config import DictAction

    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={})
    return parser.parse_args(['--cfg-options', *options] if options else []).cfg_options


def sizes(retrain, options):
    """Connections and decoder parameters of the supernet and of the pruned decoder."""
    from mmengine.config import Config

    cfg = Config.fromfile(retrain)
    cfg.merge_from_dict(parsed(options))
    head = cfg.model.decode_head
    found = resolve(head.connectivity.to_dict(), head.strides)
    full = preset('fdn', head.strides)
    shape = (head.in_channels, head.channels, head.get('out_channels') or head.num_classes)
    return (
        (len(full), supernet_parameters(full, *shape)),
        (len(found), decoder_cost(found, *shape).parameters),
    )


def main(argv=None):
    args = parse_args(argv)
    start = time.perf_counter()
    work_dir, options = Path(args.work_dir), args.cfg_options
    search = run('search', 'train.py', args.config, '--work-dir', work_dir, options=options)
    retrain = work_dir / 'retrain.py'
    if not retrain.is_file():
        raise SystemExit(
            f'error: no {retrain}; give the PruneHook in {args.config} a retrain_config'
        )
    score, train, test = train_and_test('retrain', retrain, work_dir / 'retrain', options)
    (full, full_parameters), (found, parameters) = sizes(retrain, options)
    rows = [
        ('supernet', full, f'{full_parameters:,}', '', clock(search), ''),
        ('pruned, retrained', found, f'{parameters:,}', f'{score:.1f}', clock(train), clock(test)),
    ]
    if args.baseline:
        score, train, test = train_and_test(
            'baseline', args.baseline, work_dir / 'baseline', options
        )
        rows.append((Path(args.baseline).stem, '', '', f'{score:.1f}', clock(train), clock(test)))
    samples = write_samples(retrain, options, work_dir / 'retrain/predictions', work_dir)
    print(f'\n{table(rows)}\ntotal {clock(time.perf_counter() - start)}\n\nfigures')
    for path in [*(work_dir / name for name in FIGURES), *samples]:
        print(f'  {path}')


def table(rows):
    """The rows as text."""
    text = PrettyTable(
        ['decoder', 'connections', 'decoder parameters', 'mIoU (test)', 'training', 'testing']
    )
    text.add_rows(rows)
    text.align = 'r'
    text.align['decoder'] = 'l'
    return text.get_string()


if __name__ == '__main__':
    main()
