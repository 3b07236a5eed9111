"""How much faster the proxy task trains a cell than training end to end does.

Both train the same number of iterations, at the same image and batch size, with MMSegmentation's
data loaders, models and optimisers; rounds of the two alternate, so that a change of the machine's
load meets both. Printed are the medians over rounds, and their ratio in each round.
"""

import argparse
import statistics

import torch
from mmengine.config import Config, DictAction
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.utils import ProgressBar
from mmseg.registry import MODELS

from mmseg_sparsemask.dpc.presets import resolve_cell
from mmseg_sparsemask.dpc.proxy import prepare_task, proxy_config
from mmseg_sparsemask.utils.timing import in_turns, processor, seconds_of


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='search config')
    parser.add_argument('--against', help='end-to-end config (default: the same)')
    parser.add_argument('--cell', default='dpc_cityscapes', help='preset or JSON file')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--iters', type=int, default=2, help='end-to-end iterations a round')
    parser.add_argument(
        '--proxy-iters', type=int, default=20, help='proxy iterations a round (they are short)'
    )
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    return parser.parse_args()


class Training:
    """Train steps of a config, each with the loading of its batch."""

    def __init__(self, config):
        self.model = MODELS.build(config.model).to(get_device()).train()
        self.loader = Runner.build_dataloader(config.train_dataloader)
        self.batches = iter(self.loader)
        runner = Runner.__new__(Runner)
        runner.model = self.model
        self.optim = Runner.build_optim_wrapper(runner, config.optim_wrapper)

    def step(self):
        """One iteration, its batch loaded."""
        try:
            data = next(self.batches)
        except StopIteration:
            self.batches = iter(self.loader)
            data = next(self.batches)
        self.model.train_step(data, self.optim)


def main():
    args = parse_args()
    torch.set_num_threads(args.threads)
    import mmseg_sparsemask  # noqa: F401

    init_default_scope('mmseg')
    cfg = Config.fromfile(args.config)
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    cell = resolve_cell(args.cell)
    task = prepare_task(cfg)
    proxy_cfg = Config(proxy_config(task, cell, 'work_dirs/benchmark', 'benchmark'))
    real_cfg = Config.fromfile(args.against) if args.against else cfg
    real_cfg.model.decode_head.cell = cell.to_published()
    real_cfg.train_dataloader.batch_size = task.settings.batch_size
    device = get_device()
    if device == 'cpu':
        text = real_cfg.pretty_text.replace('SyncBN', 'BN')
        real_cfg = Config.fromstring(text, '.py')
    real_cfg.model.backbone.pop('init_cfg', None)
    trainings = {'end to end': Training(real_cfg), 'proxy': Training(proxy_cfg)}
    iters = {'end to end': args.iters, 'proxy': args.proxy_iters}
    times = {name: [] for name in trainings}
    bar = ProgressBar(args.rounds + 1)
    for order in in_turns(list(trainings), args.rounds + 1):
        for name in order:
            times[name].append(seconds_of(trainings[name].step, device, iters[name]))
        bar.update()
    times = {name: rounds[1:] for name, rounds in times.items()}  # the first warms up
    ratios = [a / b for a, b in zip(times['end to end'], times['proxy'], strict=True)]
    batch = next(iter(trainings['end to end'].loader))
    print(
        f'\n{args.config}: cell {cell.to_string()}\n'
        f'images {tuple(batch["inputs"][0].shape[1:])}, batch {task.settings.batch_size}, features '
        f'{task.feature_size}, filters {task.settings.filters or "as in the head"}\n'
        f'device {processor(device)}, torch {torch.__version__}, '
        f'{args.threads} thread(s)\n'
        f'end to end: {1e3 * statistics.median(times["end to end"]):.1f} ms an iteration\n'
        f'proxy:      {1e3 * statistics.median(times["proxy"]):.1f} ms an iteration\n'
        f'ratio: median {statistics.median(ratios):.1f}, '
        f'{min(ratios):.1f} to {max(ratios):.1f} over {args.rounds} rounds'
    )


if __name__ == '__main__':
    main()
