"""Random numbers that a resumed run draws again."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import DistSamplerSeedHook
from mmseg.registry import HOOKS
from torch.utils.data import DataLoader

from mmseg_sparsemask.models.run_state import take_up_run

#: Where the message hub, and so a checkpoint, says what a run is made of.
RUN_KEY = 'resumable_run'

#: What the numbers are for: the two never draw the same.
_STEP, _SAMPLE = 0, 1


def seed_everything(*key: int) -> None:
    """Set the random states of Python, NumPy and torch to what belongs to a key.

    Args:
        key: Non-negative integers, such as the run's seed, the rank and the iteration.
    """
    first, second, third, fourth = np.random.SeedSequence(key).generate_state(4).tolist()
    random.seed(first)
    np.random.seed(second)
    torch.manual_seed(third << 32 | fourth)


class DrawnIndex(int):
    """Index of a sample that knows when it was drawn.

    Attributes:
        draw: (pass over the data set, place in that pass).
    """

    draw: tuple[int, int]

    def __new__(cls, index: int, draw: tuple[int, int]) -> DrawnIndex:
        """An index, and (pass over the data set, place in that pass)."""
        self = super().__new__(cls, index)
        self.draw = draw
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return DrawnIndex, (int(self), self.draw)


class DrawCountingSampler:
    """A sampler whose indices know when they were drawn; all else is the sampler's own."""

    def __init__(self, sampler: Any) -> None:
        self.sampler = sampler
        self._start = 0
        if hasattr(sampler, 'skip'):
            # MMSegmentation asks for the attribute to see how it can resume.
            self.skip = self._skip

    def __iter__(self) -> Iterator[DrawnIndex]:
        epoch = int(getattr(self.sampler, 'epoch', 0))
        start, self._start = self._start, 0
        for place, index in enumerate(self.sampler, start):
            yield DrawnIndex(index, (epoch, place))

    def __len__(self) -> int:
        return len(self.sampler)

    def __getattr__(self, name: str) -> Any:
        if name == 'sampler':  # not yet there while it is unpickled
            raise AttributeError(name)
        return getattr(self.sampler, name)

    def _skip(self, count: int) -> None:
        self.sampler.skip(count)
        self._start = count


class SeededDataset:
    """A data set that seeds all random states before it makes a sample; all else is its own.

    So it does not matter which process makes it, and which samples were made there before.
    """

    def __init__(self, dataset: Any, seed: int, rank: int) -> None:
        self.dataset = dataset
        self.key = (seed, rank)

    def __getitem__(self, index: DrawnIndex) -> Any:
        seed_everything(_SAMPLE, *self.key, *index.draw)
        return self.dataset[int(index)]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        if name in ('dataset', 'key', '__getitems__') or name.startswith('__'):
            raise AttributeError(name)
        return getattr(self.dataset, name)


@HOOKS.register_module()
class SeedHook(DistSamplerSeedHook):
    """Draws random numbers by (seed, rank, iteration), those of a sample by when it is drawn.

    A run that was killed and resumed then goes on with the numbers that it would have drawn: the
    random states of Python, NumPy and torch depend on nothing that a checkpoint does not have.
    Takes the place ``sampler_seed`` among the default hooks, whose task it also does; the tool
    `train.py` puts it there.
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner: Any) -> None:
        """Number the samples of the training data, and take up what a resumed run has counted."""
        settings = runner.cfg.get('train_dataloader') or {}
        own = (settings.get('sampler') or {}).get('seed')
        if not number_draws(runner.train_dataloader, runner.seed, get_rank(), own is None):
            runner.logger.warning(
                'SeedHook: the batch sampler has no sampler whose draws could be numbered; '
                'augmentation will differ after a resume'
            )
        start_again(runner.train_loop)
        take_up_run(runner)
        warn_of_another_run(runner)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Seed what the model draws."""
        seed_everything(_STEP, runner.seed, get_rank(), runner.iter)


def number_draws(loader: DataLoader, seed: int, rank: int, reseed: bool) -> bool:
    """Make a data loader's samples depend on when they are drawn; once.

    Args:
        loader: Not yet iterated.
        seed: Seed of the run.
        rank: Rank of this process.
        reseed: Give the sampler that seed too: it was made before a resumed run's was known.

    Returns:
        Whether that was possible.
    """
    batches = loader.batch_sampler
    sampler = getattr(batches, 'sampler', None)
    if sampler is None:
        return False
    if isinstance(sampler, DrawCountingSampler):
        return True
    if hasattr(sampler, 'indices') and hasattr(sampler, '_indices_of_rank'):
        # An iterator made before has drawn from the stream, perhaps by another seed.
        sampler.indices = sampler._indices_of_rank()
    if reseed and hasattr(sampler, 'seed'):
        sampler.seed = seed
    numbered = DrawCountingSampler(sampler)
    batches.sampler = numbered
    # DataLoader refuses to have these set, lest they differ from what it was made of.
    if loader.sampler is sampler:
        loader.__dict__['sampler'] = numbered
    loader.__dict__['dataset'] = SeededDataset(loader.dataset, seed, rank)
    return True


def warn_of_another_run(runner: Any) -> None:
    """Say what a resumed run has otherwise than the run had before, in one line."""
    loader = runner.train_dataloader
    now = {
        'batch_size': loader.batch_size or getattr(loader.batch_sampler, 'batch_size', None),
        'images': len(loader.dataset),
        'processes': get_world_size(),
    }
    # A checkpoint brings these back, whatever the config says.
    wrapper = runner.cfg.get('optim_wrapper') or {}
    restored = {f'optim_wrapper.{key}': wrapper.get(key) for key in ('optimizer', 'paramwise_cfg')}
    restored['param_scheduler'] = runner.cfg.get('param_scheduler')
    settings = dict(pair for key, part in restored.items() for pair in _flat(part, key))
    before = runner.message_hub.runtime_info.get(RUN_KEY, {}) if runner.iter else {}
    other = [
        f'{name} {now[name]} instead of {value}'
        for name, value in before.items()
        if name in now and now[name] != value
    ]
    said = [f'{", ".join(other)}: not what the run would have been without a stop'] if other else []
    kept = before.get('settings', settings)
    ignored = [
        f'{key} {kept.get(key, "not given")}, not {settings.get(key, "not given")}'
        for key in sorted({*kept, *settings})
        if kept.get(key) != settings.get(key)
    ]
    if ignored:
        said.append(f"what the checkpoint's optimiser and schedules have: {', '.join(ignored)}")
    seed = (runner.cfg.get('randomness') or {}).get('seed')
    if runner.iter and seed not in (None, runner.seed):
        said.append(f'the seed {runner.seed} as before, not the {seed} of randomness')
    if said:
        runner.logger.warning(f'resumed with {"; with ".join(said)}')
    runner.message_hub.update_info(RUN_KEY, {**now, 'settings': settings})


def _flat(node: Any, key: str) -> Iterator[tuple[str, str]]:
    """(dotted key, value as text) of every setting in nested ones."""
    if isinstance(node, (Mapping, list, tuple)):
        for name, child in node.items() if isinstance(node, Mapping) else enumerate(node):
            yield from _flat(child, f'{key}.{name}')
    elif node is not None:
        yield key, str(getattr(node, '__name__', node))


def start_again(loop: Any) -> None:
    """Let a training loop iterate over its data from the beginning, as they are now.

    MMEngine 0.10.7 of the original distribution makes the iterator with the loop, before any hook:
    with the data set of that time, and with processes that have begun to read.
    """
    current = getattr(loop, 'dataloader_iterator', None)
    if getattr(current, '_iterator', None) is None:
        return
    # Processes that persist are kept in the loader, too.
    loop.dataloader.__dict__['_iterator'] = None
    loop.dataloader_iterator = None
    loop.dataloader_iterator = type(current)(loop.dataloader)
