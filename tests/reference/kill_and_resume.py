"""Runs killed with `kill -9` at random moments, resumed, and compared with ones never killed.

`python tests/reference/kill_and_resume.py --kills 30 OUT` prints a row a kill and the counts.
"""

import argparse
import itertools
import json
import multiprocessing
import os
import random
import runpy
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
# The tree that this file is in, whatever is installed.
sys.path[:0] = [str(ROOT), str(ROOT / 'tests')]

import torch  # noqa: E402
from reference import tiny  # noqa: E402

from mmseg_sparsemask.utils.checkpoints import load_checkpoint  # noqa: E402

ITERATIONS = 9

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
    'model.backbone.backbone.widen_factor=0.25',
    'model.decode_head.in_channels=[8,8,8,8,16,24,40,80,1280]',
    'model.decode_head.channels=8',
    'default_hooks.logger.interval=1',
    'default_hooks.checkpoint.interval=3',
]
#: The threshold lies among the weights, so the graph hangs on their digits.
SEARCH = [
    'custom_hooks.0.retrain_config={out}/small.py',
    'custom_hooks.0.threshold=0.488',
    'custom_hooks.0.interval=2',
    'custom_hooks.0.image_interval=4',
]
WORKERS = ['train_dataloader.num_workers=2', 'train_dataloader.persistent_workers=True']
PASSES = ['train_dataloader.sampler.type=DefaultSampler']  # the second begins after iteration 6
CONFIGS = ROOT / 'configs/sparsemask'

#: What the result of a search is trained with: as small as the search.
RETRAIN = f"""_base_ = '{CONFIGS}/sparsemask_mbv2_shapes.py'
model = dict(
    backbone=dict(backbone=dict(widen_factor=0.25)),
    decode_head=dict(in_channels=[8, 8, 8, 8, 16, 24, 40, 80, 1280], channels=8),
)
"""

#: Config and further settings of each kind of run; ``{out}`` is the folder of all runs.
JOBS = {
    'search': (f'{CONFIGS}/fdn_mbv2_shapes.py', SEARCH),
    'search, workers': (f'{CONFIGS}/fdn_mbv2_shapes.py', [*SEARCH, *WORKERS]),
    'search, workers, passes': (f'{CONFIGS}/fdn_mbv2_shapes.py', [*SEARCH, *WORKERS, *PASSES]),
    'retraining': ('{out}/straight_search/retrain.py', []),
    'fine-tuning, workers': ('{out}/straight_search/finetune.py', WORKERS),
}

#: What a search leaves beside its checkpoints.
TEXTS = ('connectivity.svg', 'connection_weights.svg', 'retrain.py', 'finetune.py')


@dataclass
class Straight:
    """A run that was never killed.

    Attributes:
        work_dir: Its work directory.
        marks: Seconds from its start to each training iteration's line in the log, 0 before the
            first and the whole run after the last.
    """

    work_dir: Path
    marks: list[float]


def _train(out, log, arguments):
    """tools/train.py, in the process that this is called in."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.chdir(out)
    tool = str(ROOT / 'tools/train.py')
    sys.argv = [tool, *arguments]
    sys.path.insert(0, str(ROOT))
    runpy.run_path(tool, run_name='__main__')


def start(job, out, work_dir, *arguments):
    """Start a run; its output goes to a file beside the work directory.

    The process is forked from one that has all libraries loaded: kills then fall into the run.
    """
    config, settings = JOBS[job]
    settings = [setting.format(out=out) for setting in settings]
    (Path(out) / 'small.py').write_text(RETRAIN)
    command = [config.format(out=out), '--work-dir', str(work_dir), *arguments, '--cfg-options']
    os.environ.update(tiny.environment())
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['mmseg.apis', 'mmpretrain.models', 'mmseg_sparsemask'])
    process = context.Process(
        target=_train, args=(str(out), f'{work_dir}.log', [*command, *SMALL, *settings])
    )
    process.start()
    return process


def iterations(work_dir):
    """How many training iterations the log of a run has."""
    log = Path(f'{work_dir}.log')
    return log.read_text(errors='replace').count('Iter(train) [') if log.exists() else 0


def straight(job, out):
    """A run that is never killed."""
    work_dir = out / f'straight_{job}'.replace(', ', '_')
    begin = time.monotonic()
    process, marks = start(job, out, work_dir), [0.0]
    while process.is_alive():
        process.join(0.005)
        while len(marks) <= iterations(work_dir):
            marks.append(time.monotonic() - begin)
    if process.exitcode or len(marks) != ITERATIONS + 1:
        raise SystemExit(f'the uninterrupted run failed: see {work_dir}.log')
    return Straight(work_dir, [*marks, time.monotonic() - begin])


def killed_and_resumed(job, out, work_dir, after, delay):
    """Kill a run some seconds after an iteration and resume it; the exit status of the latter."""
    process = start(job, out, work_dir)
    while process.is_alive() and iterations(work_dir) < after:
        process.join(0.005)
    process.join(delay)
    process.kill()
    process.join()
    resumed = start(job, out, work_dir, '--resume')
    resumed.join()
    return resumed.exitcode


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


def results(work_dir):
    """All that two equal runs have in common: by name, tensors, numbers and texts."""
    found = {}
    last = work_dir / f'iter_{ITERATIONS}.pth'
    for file, parts in (
        (last, ('state_dict', 'optimizer', 'param_schedulers')),
        (work_dir / 'pruned.pth', ('state_dict',)),
    ):
        if file.exists():
            content = load_checkpoint(file)
            found.update(tensors({part: content[part] for part in parts}, file.name))
    # Elsewhere a file of these names is the run's own config.
    if (work_dir / 'connectivity.json').exists():
        content = json.loads((work_dir / 'connectivity.json').read_text())
        del content['meta']['experiment']  # which has the time in it
        found['connectivity.json'] = content
        for file in (work_dir / name for name in TEXTS):
            if file.exists():
                found[file.name] = file.read_text().replace(str(work_dir), '')
    return found


def differences(ours, theirs):
    """How many results of the second work directory were compared, and which of them differ."""
    mine, other = results(ours), results(theirs)
    if not any(name.startswith(f'iter_{ITERATIONS}.pth') for name in other):
        raise SystemExit(f'{theirs}: the uninterrupted run left no last checkpoint')
    differ = sorted(mine.keys() ^ other.keys())
    for name in mine.keys() & other.keys():
        one, two = mine[name], other[name]
        tensor = isinstance(one, torch.Tensor) and isinstance(two, torch.Tensor)
        if not (torch.equal(one, two) if tensor else one == two):
            differ.append(name)
    return len(other), differ


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('out', type=Path, help='a new folder')
    parser.add_argument('--kills', type=int, default=30)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    args.out = args.out.resolve()
    args.out.mkdir(parents=True)
    draw = random.Random(args.seed)
    references = {}
    equal = 0
    begin = time.monotonic()
    for number, job in zip(range(args.kills), itertools.cycle(JOBS)):
        if job not in references:
            references[job] = straight(job, args.out)
            print(f'{job}: {references[job].marks[-1]:.1f} s without a kill', flush=True)
        reference = references[job]
        # One in three at the end, where the results are written.
        after = ITERATIONS if draw.random() < 1 / 3 else draw.randrange(ITERATIONS)
        delay = draw.uniform(0, reference.marks[after + 1] - reference.marks[after])
        work_dir = args.out / f'kill_{number}'
        status = killed_and_resumed(job, args.out, work_dir, after, delay)
        compared, differ = differences(work_dir, reference.work_dir)
        if status:
            differ.insert(0, f'exit status {status}')
        equal += not differ
        left = (time.monotonic() - begin) / (number + 1) * (args.kills - number - 1)
        print(
            f'{number:3d}  {job:24s} killed {delay:.2f} s after iteration {after}: '
            f'{len(differ)} of {compared} differ {differ[:2] or ""}  ({left:.0f} s left)',
            flush=True,
        )
    print(f'{equal} of {args.kills} resumed runs equal the uninterrupted one')
    raise SystemExit(equal != args.kills)


if __name__ == '__main__':
    main()
