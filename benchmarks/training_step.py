"""How long a training step takes in torch's two memory formats (`ChannelsLastHook`), in turns.

    OMP_NUM_THREADS=1 python benchmarks/training_step.py CONFIG --cfg-options KEY=VALUE

Forward, backward and optimiser, on one batch of the config's training data.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from mmengine.config import Config, DictAction
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.registry import MODELS

import mmseg_sparsemask  # noqa: F401
from mmseg_sparsemask.compare.measure import machine
from mmseg_sparsemask.utils.timing import timed_in_turns

FORMATS = {'contiguous': torch.contiguous_format, 'channels last': torch.channels_last}


def main() -> None:
    """Print the median of each format."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config')
    parser.add_argument('--rounds', type=int, default=15, help='steps in each format')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    args = parser.parse_args()
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options or {})
    init_default_scope('mmseg')
    batch = next(iter(Runner.build_dataloader(cfg.train_dataloader)))
    steps = {name: step_of(cfg, batch, memory_format) for name, memory_format in FORMATS.items()}
    print_times(steps, args.rounds, 2, statistics.median)


def step_of(cfg: Config, batch: Any, memory_format: torch.memory_format) -> Callable[[], Any]:
    """A training step of a config's model on a batch: forward, backward and optimiser."""
    model = MODELS.build(cfg.model).to(memory_format=memory_format).train()
    return partial(model.train_step, batch, build_optim_wrapper(model, cfg.optim_wrapper))


def print_times(
    steps: Mapping[str, Callable[[], Any]],
    rounds: int,
    warmup: int,
    middle: Callable[[Sequence[float]], float],
) -> None:
    """Time steps in turns, and print the milliseconds of each and where that was."""
    for name, taken in timed_in_turns(steps, rounds, warmup=warmup).items():
        print(f'{name}: {1000 * middle(taken):.0f} ms a step')
    print(f'{machine("cpu")}, {torch.get_num_threads()} threads, torch {torch.__version__}')


if __name__ == '__main__':
    main()
