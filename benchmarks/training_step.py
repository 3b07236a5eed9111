"""How long a training step takes in torch's two memory formats (`ChannelsLastHook`), in turns.

    OMP_NUM_THREADS=1 python benchmarks/training_step.py CONFIG --cfg-options KEY=VALUE

Forward, backward and optimiser, on one batch of the config's training data.
"""

from __future__ import annotations

import argparse
import statistics

import torch
from mmengine.config import Config, DictAction
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.registry import MODELS

import mmseg_sparsemask  # noqa: F401
from mmseg_sparsemask.compare.measure import machine
from mmseg_sparsemask.utils.timing import in_turns, seconds_of

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
    steps = {}
    for name, memory_format in FORMATS.items():
        model = MODELS.build(cfg.model).to(memory_format=memory_format).train()
        optimiser = build_optim_wrapper(model, cfg.optim_wrapper)
        steps[name] = lambda model=model, optimiser=optimiser: model.train_step(batch, optimiser)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn, order in enumerate(in_turns(list(steps), args.rounds + 2)):
        for name in order:
            taken = seconds_of(steps[name])
            if turn > 1:
                seconds[name].append(taken)
    for name, taken in seconds.items():
        print(f'{name}: {1000 * statistics.median(taken):.0f} ms')
    print(f'{machine("cpu")}, {torch.get_num_threads()} threads, torch {torch.__version__}')


if __name__ == '__main__':
    main()
