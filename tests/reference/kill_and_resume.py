"""Runs killed with `kill -9` at random moments, resumed, and compared with ones never killed.

`python tests/reference/kill_and_resume.py --kills 30 OUT` prints a row a kill and the counts.
"""

import argparse
import itertools
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from reference import tiny  # noqa: E402

from mmseg_sparsemask.utils.checkpoints import load_checkpoint  # noqa: E402

ITERATIONS = 12

#: As shipped, random flips included, but for sizes and lengths.
SMALL = [
    f'train_cfg.max_iters={ITERATIONS}',
    f'train_cfg.val_interval={ITERATIONS}',
    'train_dataloader.batch_size=4',
    'train_dataloader.dataset.size=(32,32)',
    'train_dataloader.dataset.length=22',
    'val_dataloader.dataset.size=(32,32)',
    'val_dataloader.dataset.length=4',
    'model.data_preprocessor.size=(32,32)',
    'default_hooks.logger.interval=1',
    'default_hooks.checkpoint.interval=3',
]
WORKERS = ['train_dataloader.num_workers=2', 'train_dataloader.persistent_workers=True']
CONFIGS = tiny.ROOT / 'configs/sparsemask'

#: Config and further settings of each kind of run; ``{out}`` is the folder of all runs.
JOBS = {
    'search': (CONFIGS / 'fdn_mbv2_shapes.py', []),
    'search, 2 workers': (CONFIGS / 'fdn_mbv2_shapes.py', WORKERS),
    'retraining': (CONFIGS / 'sparsemask_mbv2_shapes.py', []),
    'fine-tuning, 2 workers': (
        CONFIGS / 'sparsemask_mbv2_shapes.py',
        [*WORKERS, 'load_from={out}/start.pth'],
    ),
}


def start(job, out, work_dir, *arguments):
    """Start a run; its output goes to a file beside the work directory."""
    config, settings = JOBS[job]
    settings = [*SMALL, *(text.format(out=out) for text in settings)]
    command = [sys.executable, tiny.ROOT / 'tools/train.py', config, '--work-dir', work_dir]
    with Path(f'{work_dir}.log').open('a') as log:
        return subprocess.Popen(
            [*map(str, command), *arguments, '--cfg-options', *settings],
            cwd=out,
            env=tiny.environment(),
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def straight(job, out):
    """A run that is never killed: its work directory and how many seconds it took."""
    work_dir = out / f'straight {job}'.replace(',', '').replace(' ', '_')
    begin = time.monotonic()
    if start(job, out, work_dir).wait():
        raise SystemExit(f'the uninterrupted run failed: see {work_dir}.log')
    return work_dir, time.monotonic() - begin


def killed_and_resumed(job, out, work_dir, seconds):
    """Kill a run after some seconds and resume it; last iteration before the kill, exit status."""
    process = start(job, out, work_dir)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
    log = Path(f'{work_dir}.log').read_text()
    reached = log.count('Iter(train)')
    return reached, start(job, out, work_dir, '--resume').wait()


def tensors(value, prefix=''):
    """Every tensor and number below a nested value, by path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from tensors(inner, f'{prefix}.{key}')
    elif isinstance(value, (list, tuple)):
        for place, inner in enumerate(value):
            yield from tensors(inner, f'{prefix}.{place}')
    elif isinstance(value, (torch.Tensor, int, float)):
        yield prefix, value


def differences(ours, theirs):
    """Number of values compared and names of those that differ between two work directories."""
    states = []
    for work_dir in (ours, theirs):
        content = load_checkpoint(work_dir / f'iter_{ITERATIONS}.pth')
        parts = ('state_dict', 'optimizer', 'param_schedulers')
        states.append(dict(tensors({part: content[part] for part in parts})))
    mine, other = states
    differ = sorted(mine.keys() ^ other.keys())
    for name in mine.keys() & other.keys():
        same = torch.equal(torch.as_tensor(mine[name]), torch.as_tensor(other[name]))
        differ += [] if same else [name]
    for name in ('connectivity.svg', 'connection_weights.svg', 'retrain.py'):
        files = [work_dir / name for work_dir in (ours, theirs)]
        if files[0].exists() != files[1].exists() or (
            files[0].exists() and files[0].read_text() != files[1].read_text()
        ):
            differ.append(name)
    return len(mine), differ


def prepare(out):
    """What fine-tuning starts from."""
    out.mkdir(parents=True, exist_ok=True)
    work_dir, seconds = straight('retraining', out)
    (out / 'start.pth').write_bytes((work_dir / f'iter_{ITERATIONS}.pth').read_bytes())
    return work_dir, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('out', type=Path)
    parser.add_argument('--kills', type=int, default=30)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    args.out = args.out.resolve()
    draw = random.Random(args.seed)
    references = {'retraining': prepare(args.out)}
    equal = 0
    begin = time.monotonic()
    for number, job in zip(range(args.kills), itertools.cycle(JOBS)):
        if job not in references:
            references[job] = straight(job, args.out)
        reference, seconds = references[job]
        moment = draw.uniform(0.3, 1.0) * seconds
        work_dir = args.out / f'kill_{number}'
        reached, status = killed_and_resumed(job, args.out, work_dir, moment)
        compared, differ = (0, ['no result']) if status else differences(work_dir, reference)
        equal += not differ
        left = (time.monotonic() - begin) / (number + 1) * (args.kills - number - 1)
        print(
            f'{number:3d}  {job:24s} killed after {moment:5.1f} s, iteration {reached:2d}: '
            f'{len(differ)} of {compared} differ {differ[:2] or ""}  ({left:.0f} s left)',
            flush=True,
        )
    print(f'{equal} of {args.kills} resumed runs equal the uninterrupted one')
    raise SystemExit(equal != args.kills)


if __name__ == '__main__':
    main()
