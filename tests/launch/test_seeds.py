"""Random numbers by seed, rank and iteration, whichever process draws them."""

import copy
import pickle
import random
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.logging import MessageHub
from mmengine.runner import Runner
from reference import tiny
from torch.utils.data import DataLoader

from mmseg_sparsemask.launch.seeds import (
    DrawnIndex,
    SeedHook,
    number_draws,
    seed_everything,
)
from mmseg_sparsemask.utils.read_config import draw_by_iteration


class Drawing:
    """A data set that returns what it draws."""

    def __len__(self):
        return 10

    def __getitem__(self, index):
        return [index, random.random(), np.random.rand(), torch.rand(()).item()]


def loader(kind, workers, seed=3, rank=0):
    data = Drawing()
    made = DataLoader(
        data,
        batch_size=4,
        sampler=kind(data, shuffle=True, seed=0),
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=list,
    )
    assert number_draws(made, seed, rank, True)
    return made


def batches(made, count):
    iterator = iter(made)
    return [next(iterator) for _ in range(count)]


@pytest.mark.parametrize('kind', [InfiniteSampler, DefaultSampler])
def test_workers_make_no_difference(kind):
    alone = batches(loader(kind, 0), 3)
    assert alone == batches(loader(kind, 2), 3)
    drawn = [tuple(sample[1:]) for batch in alone for sample in batch]
    assert len(set(drawn)) == len(drawn)


def test_what_happened_before_makes_no_difference():
    made = loader(InfiniteSampler, 0)
    whole = batches(made, 6)
    later = loader(InfiniteSampler, 0)
    random.random(), np.random.rand(9), torch.rand(5)
    later.sampler.skip(4 * 4)
    assert batches(later, 2) == whole[4:]


def test_passes_seeds_and_ranks_differ():
    made = loader(DefaultSampler, 0)
    first = batches(made, 1)
    assert batches(made, 1) == first
    made.sampler.set_epoch(1)
    seen = [
        *first,
        *batches(made, 1),
        *batches(loader(DefaultSampler, 0, seed=4), 1),
        *batches(loader(DefaultSampler, 0, rank=1), 1),
    ]
    assert len({batch[0][1] for batch in seen}) == 4


def test_only_samplers_that_skip_say_so():
    assert hasattr(loader(InfiniteSampler, 0).sampler, 'skip')
    assert not hasattr(loader(DefaultSampler, 0).sampler, 'skip')


def test_numbering_twice_is_numbering_once():
    made = loader(DefaultSampler, 0)
    before = made.sampler
    assert number_draws(made, 3, 0, True) and made.sampler is before


def test_drawn_indices_travel():
    index = DrawnIndex(7, (1, 2))
    for copied in (pickle.loads(pickle.dumps(index)), copy.deepcopy(index)):
        assert copied == 7 and copied.draw == (1, 2)


def test_every_generator_is_seeded():
    drawn = []
    for _ in range(2):
        seed_everything(1, 2, 3)
        drawn.append((random.random(), np.random.rand(), torch.rand(()).item()))
    assert drawn[0] == drawn[1]


class EarlyIterator:
    """As MMEngine 0.10.7 has it: made with the loop, before any hook."""

    def __init__(self, dataloader):
        self._iterator = iter(dataloader)

    def __next__(self):
        return next(self._iterator)


@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize('kind', [InfiniteSampler, DefaultSampler])
def test_an_iterator_made_before_the_hook_starts_again(kind, workers):
    """Also when it has drawn by a seed that a resumed run then replaces."""
    data = Drawing()
    made = DataLoader(
        data,
        batch_size=4,
        sampler=kind(data, shuffle=True, seed=99),
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=list,
    )
    loop = SimpleNamespace(dataloader=made, dataloader_iterator=EarlyIterator(made))
    hub = MessageHub.get_instance('early')
    runner = SimpleNamespace(
        train_dataloader=made, train_loop=loop, seed=3, cfg={}, iter=0, message_hub=hub
    )
    SeedHook().before_train(runner)
    expected = loader(kind, 0)
    expected.sampler.sampler.seed = 3
    assert [next(loop.dataloader_iterator) for _ in range(2)] == batches(expected, 2)


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({}, None),
        ({'train_dataloader.batch_size': 2}, 'batch_size 2 instead of 4'),
        (
            {'train_dataloader.dataset.length': 20, 'randomness.seed': 5},
            'images 20 instead of 24: .* a stop; with the seed 0 as before, not the 5 of rand',
        ),
        (
            {'optim_wrapper.optimizer.lr': 0.5},
            r'what the checkpoint.*: optim_wrapper.optimizer.lr 0.\d+, not 0.5$',
        ),
        (
            {'param_scheduler.0.end': 40, 'optim_wrapper.optimizer.nesterov': True},
            '.*nesterov not given, not True, param_scheduler.0.end 20, not 40$',
        ),
    ],
    ids=['as before', 'batch', 'data and seed', 'rate', 'schedule'],
)
def test_what_is_otherwise_after_a_resume_is_said(tmp_path, options, words):
    def train(folder, iterations, **options):
        cfg = tiny.load(tiny.write_configs(tmp_path, iterations), tmp_path / folder, **options)
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
        draw_by_iteration(cfg)
        Runner.from_cfg(cfg).train()
        return '\n'.join(path.read_text() for path in (tmp_path / folder).glob('*/*.log'))

    assert 'resumed with' not in train('one', 1)
    checkpoint = str(tmp_path / 'one/iter_1.pth')
    text = train('two', 2, resume=True, load_from=checkpoint, **options)
    said = [line for line in text.splitlines() if 'resumed with' in line]
    assert len(said) == (words is not None)
    assert all(re.search(f'resumed with {words}', line) for line in said)
