import collections
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmseg_sparsemask.dpc.cell import Cell
from mmseg_sparsemask.dpc.presets import PRESETS
from mmseg_sparsemask.dpc.space import SearchSpace, sample_unseen

SMALL = SearchSpace(branches=2, rates=(1,), grids=(1,))


def test_the_papers_counts():
    space = SearchSpace()
    assert len(space.operations) == len(set(space.operations)) == 81
    assert space.count == 120 * 81**5 == 418_414_128_120
    assert f'{space.count:.2e}' == '4.18e+11'
    assert [len(space.choices()[f'input_{i}']) for i in range(5)] == [1, 2, 3, 4, 5]
    for name in ('dpc_cityscapes', 'aspp'):
        space.check(PRESETS[name]())


def test_enumeration_of_a_reduced_space():
    space = SearchSpace(branches=3, rates=(1, 3), grids=(2,))
    cells = list(space.enumerate())
    assert len(cells) == len(set(cells)) == space.count == 6 * 6**3
    for cell in cells:
        space.check(cell)
    assert len({cell.hash for cell in cells}) == space.count_distinct


def test_distinct_cells_of_one_operation_are_rooted_trees():
    # Rooted trees of n + 1 nodes (OEIS A000081), the root being the feature.
    counts = [
        SearchSpace(branches=b, rates=(1,), grids=(), conv1x1=False).count_distinct
        for b in range(1, 9)
    ]
    assert counts == [1, 2, 4, 9, 20, 48, 115, 286]


def test_uniform_sampling():
    rng = random.Random(0)
    seen = collections.Counter(SMALL.sample(rng) for _ in range(18 * 400))
    assert len(seen) == SMALL.count == 18
    chi = sum((n - 400) ** 2 / 400 for n in seen.values())
    assert chi < 40.8  # the 99.9 % point of chi-squared with 17 degrees of freedom


@given(st.integers(0, 2**32))
@settings(max_examples=50)
def test_a_mutation_changes_one_decision(seed):
    rng = random.Random(seed)
    space = SearchSpace()
    cell = space.sample(rng)
    other = space.mutate(cell, rng)
    space.check(other)
    before, after = space.to_params(cell), space.to_params(other)
    assert sum(before[key] != after[key] for key in before) == 1
    assert space.from_params(before) == cell


def test_mutations_reach_every_neighbour():
    rng = random.Random(1)
    cell = Cell.from_string('-1:conv1x1 0:conv1x1')
    found = {SMALL.mutate(cell, rng).to_string() for _ in range(200)}
    assert found == {
        '-1:conv1x1 -1:conv1x1',
        '-1:sep3x3_1x1 0:conv1x1',
        '-1:pool_1x1 0:conv1x1',
        '-1:conv1x1 0:sep3x3_1x1',
        '-1:conv1x1 0:pool_1x1',
    }


def test_mutation_in_a_space_of_one_cell():
    space = SearchSpace(branches=1, rates=(), grids=())
    cell = next(space.enumerate())
    assert space.mutate(cell, random.Random(0)) == cell


def test_unseen_cells_until_none_is_left():
    rng, seen = random.Random(0), set()
    while (cell := sample_unseen(SMALL, seen, rng, tries=20)) is not None:
        assert cell.hash not in seen
        seen.add(cell.hash)
    assert len(seen) == SMALL.count_distinct


@pytest.mark.parametrize(
    'config, message',
    [
        (dict(branches=0), 'at least 1'),
        (dict(branches='5'), 'a whole number'),
        (dict(rates=(0,)), 'at least 1, got 0'),
        (dict(rates=6), 'rates must be a list of whole numbers, got 6'),
        (dict(grids=(1, 1)), 'twice'),
        (dict(rates=(), grids=(), conv1x1=False), 'no operation'),
        (dict(rate=(1,)), "unknown key.*'rate'"),
    ],
)
def test_bad_spaces(config, message):
    with pytest.raises(ValueError, match=message):
        SearchSpace.from_config(config)


def test_a_cell_outside_the_space():
    with pytest.raises(ValueError, match='branch 0: sep3x3_2x6 is not in the space'):
        SearchSpace(branches=1).check(Cell.from_string('-1:sep3x3_2x6'))
    with pytest.raises(ValueError, match='cells of 5 branches, got 1'):
        SearchSpace().check(Cell.from_string('-1:conv1x1'))
