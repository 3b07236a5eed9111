"""What the passes of a supernet with `SampledConnections` cost, against those of all connections.

    python benchmarks/sampled_passes.py CONFIG
    OMP_NUM_THREADS=1 python benchmarks/sampled_passes.py CONFIG --time

Connections and the decoder's multiply-adds are counted over the passes of a training, and need no
quiet machine. With `--time` training steps of both are timed in turns, on one batch of the config's
training data; the mean counts, as passes differ.
"""

from __future__ import annotations

import argparse
import statistics

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.registry import MODELS
from training_step import print_times, step_of

import mmseg_sparsemask  # noqa: F401


def main() -> None:
    """Print the shares, or the times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config')
    parser.add_argument('--passes', type=int, help='to count (default: all of the training)')
    parser.add_argument('--time', action='store_true', help='time training steps, too')
    parser.add_argument('--rounds', type=int, default=60, help='steps of each to time')
    args = parser.parse_args()
    cfg = Config.fromfile(args.config)
    init_default_scope('mmseg')
    head = MODELS.build(cfg.model.decode_head)
    count(head, tuple(cfg.model.data_preprocessor.size), args.passes or cfg.train_cfg.max_iters)
    if args.time:
        time_steps(cfg, args.rounds)


def count(head: torch.nn.Module, size: tuple[int, int], passes: int) -> None:
    """Print the mean share of connections and of multiply-adds over passes from the first on."""
    whole, shares = head.connectivity, {'connections': [], 'multiply-adds of the decoder': []}
    full, all_passes = head.shape.cost(whole, size).multiply_adds, 0
    for step in range(passes):
        head.connections.step.fill_(step)
        drawn = head.connections.subset() or whole
        all_passes += drawn == whole
        shares['connections'].append(len(drawn) / len(whole))
        spent = head.shape.cost(drawn, size).multiply_adds
        shares['multiply-adds of the decoder'].append(spent / full)
    print(f'{passes} passes, {all_passes} of them of all {len(whole)} connections')
    for name, values in shares.items():
        print(f'{name}: {statistics.fmean(values):.1%} of all in the mean')


def time_steps(cfg: Config, rounds: int) -> None:
    """Print the mean time of a training step of both."""
    batch = next(iter(Runner.build_dataloader(cfg.train_dataloader)))
    steps = {}
    for name, every in (('sampled', None), ('all connections', 1)):
        if every is not None:
            cfg.model.decode_head.connections.full_every = every
        steps[name] = step_of(cfg, batch, torch.channels_last)
    print_times(steps, rounds, 4, statistics.fmean)


if __name__ == '__main__':
    main()
