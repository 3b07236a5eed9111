import itertools
import json
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmseg_sparsemask.dpc.cell import Branch, Cell, Operation
from mmseg_sparsemask.dpc.cell_figure import draw_cell
from mmseg_sparsemask.dpc.presets import PRESETS, resolve_cell
from mmseg_sparsemask.dpc.space import SearchSpace
from mmseg_sparsemask.utils.figures import save_figure

PUBLISHED = [
    {'kernel': 3, 'rate': [1, 6], 'op': 'conv', 'input': -1},
    {'kernel': 3, 'rate': [18, 15], 'op': 'conv', 'input': 0},
    {'kernel': 3, 'rate': [6, 3], 'op': 'conv', 'input': 1},
    {'kernel': 3, 'rate': [1, 1], 'op': 'conv', 'input': 0},
    {'kernel': 3, 'rate': [6, 21], 'op': 'conv', 'input': 0},
]

cells = st.integers(0, 2**32).map(lambda seed: SearchSpace().sample(random.Random(seed)))


def test_preset_is_the_published_list():
    assert Cell.from_published(PUBLISHED) == PRESETS['dpc_cityscapes']()
    assert PRESETS['dpc_cityscapes']().to_published() == PUBLISHED


POOL = {'op': 'pyramid_pooling', 'grid_size': [2, 4], 'input': -1}


@pytest.mark.parametrize(
    'item, text',
    [
        (POOL, 'pool_2x4'),
        ({**POOL, 'kernel': [1, 1]}, 'pool_2x4'),
        # As the published code leaves it once it has built the cell.
        ({**POOL, 'kernel': [17, 9], 'target_size': [33, 33]}, 'pool_2x4'),
        ({'op': 'conv', 'kernel': 1, 'input': -1}, 'conv1x1'),
        ({'op': 'conv', 'kernel': [1, 1], 'input': -1}, 'conv1x1'),
        ({'op': 'conv', 'kernel': [3, 3], 'rate': [1, 6], 'input': -1}, 'sep3x3_1x6'),
    ],
)
def test_published_operations(item, text):
    assert Cell.from_published([item]).to_string() == f'-1:{text}'


@given(cells)
@settings(max_examples=50)
def test_round_trips(cell):
    assert Cell.from_dict(json.loads(json.dumps(cell.to_dict()))) == cell
    assert Cell.from_published(json.loads(json.dumps(cell.to_published()))) == cell
    assert Cell.from_string(cell.to_string()) == cell
    assert cell.canonical().canonical() == cell.canonical()
    assert cell.canonical().hash == cell.hash


def reorderings(cell):
    """Every order of the branches in which each still reads an earlier one."""
    for order in itertools.permutations(range(len(cell))):
        position = {old: new for new, old in enumerate(order)}
        position[-1] = -1
        branches = [
            Branch(position[cell.branches[old].input], cell.branches[old].op) for old in order
        ]
        if all(branch.input < index for index, branch in enumerate(branches)):
            yield Cell(tuple(branches))


@given(st.integers(0, 2**32))
@settings(max_examples=20)
def test_hash_ignores_the_order_of_independent_branches(seed):
    cell = SearchSpace(branches=4, rates=(1, 3), grids=()).sample(random.Random(seed))
    assert {other.hash for other in reorderings(cell)} == {cell.hash}


@pytest.mark.parametrize('branches, rates, conv', [(1, (1,), True), (3, (1,), True), (4, (1,), 0)])
def test_hash_tells_apart_exactly_what_differs(branches, rates, conv):
    space = SearchSpace(branches=branches, rates=rates, grids=(), conv1x1=bool(conv))
    everything = list(space.enumerate())
    assert len(everything) == len(set(everything)) == space.count
    # Independent of the tree codes: group by which cells are a reordering of which.
    groups = {frozenset(reorderings(cell)) for cell in everything}
    assert len({cell.hash for cell in everything}) == len(groups) == space.count_distinct
    for group in groups:
        assert len({cell.hash for cell in group}) == 1


def test_meta_is_not_search_fingerprint(tmp_path):
    cell = Cell(PRESETS['aspp']().branches, {'note': 'x'})
    assert cell == PRESETS['aspp']() and cell.hash == PRESETS['aspp']().hash
    cell.save(tmp_path / 'cell.json')
    assert Cell.load(tmp_path / 'cell.json').meta == {'note': 'x'}
    assert [p.name for p in tmp_path.iterdir()] == ['cell.json']


def test_resolve(tmp_path):
    best = PRESETS['dpc_cityscapes']()
    best.save(tmp_path / 'a.json')
    (tmp_path / 'b.json').write_text(json.dumps(PUBLISHED))
    for source in (
        best,
        'dpc_cityscapes',
        tmp_path / 'a.json',
        str(tmp_path / 'b.json'),
        PUBLISHED,
        best.to_dict(),
    ):
        assert resolve_cell(source) == best


GOOD = PRESETS['aspp']().to_dict()


@pytest.mark.parametrize(
    'source, message',
    [
        ('asp', 'presets are'),
        ('missing.json', 'no cell file'),
        (3, 'a cell is a preset name'),
        ({**GOOD, 'version': 2}, 'version 2 is not readable'),
        ({**GOOD, 'format': 'x'}, 'format must be'),
        ({**GOOD, 'extra': 1}, "unknown key.*'extra'"),
        ({**GOOD, 'branches': []}, 'at least one branch'),
        ({**GOOD, 'branches': 'x'}, 'must be a list'),
        ({**GOOD, 'branches': [{'input': -1, 'op': 'maxpool'}]}, "an operation must .*'maxpool'"),
        ({**GOOD, 'branches': [{'input': -1, 'op': 'sep3x3'}]}, 'rate must be two positive'),
        ({**GOOD, 'branches': [{'input': -1, 'op': 'pool', 'grid': [0, 1]}]}, 'grid must be two'),
        ({**GOOD, 'branches': [{'input': -1, 'op': 'conv1x1', 'rate': [1, 1]}]}, 'unknown key'),
        ({**GOOD, 'branches': [{'input': 0, 'op': 'conv1x1'}]}, 'first branch must read -1'),
        (
            {**GOOD, 'branches': [{'input': -1, 'op': 'conv1x1'}, {'input': 1, 'op': 'conv1x1'}]},
            'branch 1 reads branch 1',
        ),
        ({**GOOD, 'branches': [{'input': -2, 'op': 'conv1x1'}]}, 'branch 0 reads branch -2'),
        ([{'kernel': 5, 'rate': [1, 1], 'op': 'conv', 'input': -1}], 'kernel 1 or 3'),
        ([{'kernel': 3, 'rate': [1], 'op': 'conv', 'input': -1}], 'two positive integers'),
        ([{'kernel': 3, 'rate': [1, 1], 'op': 'conv'}], 'a dict with input and op'),
        ([{'kernel': [3, 1], 'rate': [1, 1], 'op': 'conv', 'input': -1}], 'kernel 1 or 3'),
        ([{**POOL, 'kernel': [17, 17]}], 'kernel 1 or 3'),
        ([{**POOL, 'kernel': [17, 17], 'target_size': [33]}], 'target_size must be two'),
        ([{'kernel': 3, 'rate': [1, 1], 'op': 'conv', 'input': 4}], 'first branch'),
        ([7], 'expected a dict'),
    ],
)
def test_bad_cells(source, message):
    with pytest.raises(ValueError, match=message):
        resolve_cell(source)


def mutated(seed):
    """The bytes of a cell's file in either form, damaged in one to three places."""
    rng = random.Random(seed)
    cell = SearchSpace().sample(rng)
    form = rng.choice([{**cell.to_dict(), 'meta': {'note': 'a'}}, cell.to_published()])
    data = json.dumps(form).encode()
    for _ in range(rng.randint(1, 3)):
        at, stop = sorted(rng.sample(range(len(data)), 2))
        kind = rng.randrange(5)
        if kind == 0:  # another byte
            data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
        elif kind == 1:  # a part is gone
            data = data[:at] + data[min(stop, at + rng.randint(1, 20)) :] or b'{'
        elif kind == 2:  # a part stands twice
            data = data[:stop] + data[at:stop] + data[stop:]
        elif kind == 3:  # cut
            data = data[: max(2, stop)]
        else:  # another value in the place of a number or a word
            words = list(re.finditer(rb'-?\d+|"\w*"|\[[^\[\]]*\]', data))
            word = rng.choice(words or [re.match(b'', data)])
            value = rng.choice(
                [b'true', b'null', b'1e400', b'[]', b'{}', b'-1', b'"x"', b'9' * 5000]
            )
            data = data[: word.start()] + value + data[word.end() :]
        data = data if len(data) > 2 else b'{} '
    return data


def test_damaged_files_are_one_error_that_names_the_file(tmp_path):
    path = tmp_path / 'cell.json'
    for seed in range(400):
        path.write_bytes(mutated(seed))
        try:
            Cell.load(path)
        except ValueError as error:
            assert str(path) in str(error), seed  # noqa: PT017


@pytest.mark.parametrize(
    'text, message',
    [
        ('{', 'not a JSON file'),
        ('1', 'expected a cell'),
        ('\x00', 'not a JSON file'),
        ('[' * 100_000, 'nested more than 50 deep'),
        ('{"branches": [], "branches": []}', "keys .'branches'. appear twice"),
        (json.dumps({**GOOD, 'version': True}), 'version True is not readable'),
        (json.dumps({**GOOD, 'meta': [1]}), 'meta must be a dict'),
        (json.dumps({**GOOD, 'branches': [{'input': -1, 'op': ['pool']}]}), 'an operation must'),
        (json.dumps([{'kernel': 1, 'rate': 1, 'op': 'conv', 'input': -1}]), 'rate must be two'),
        (json.dumps([{'kernel': True, 'op': 'conv', 'input': -1}]), 'kernel 1 or 3'),
        (
            json.dumps([{'kernel': 1, 'op': 'conv', 'input': i} for i in range(-1, 5000)]),
            'at most 100 branches',
        ),
        (' ' * (2**20 + 1), 'expected at most 1048576 bytes'),
    ],
)
def test_hostile_files(tmp_path, text, message):
    path = tmp_path / 'cell.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        Cell.load(path)
    assert str(path) in str(error.value)
    with pytest.raises(ValueError, match='cannot be read'):
        Cell.load(tmp_path)


@pytest.mark.parametrize('text', ['x', '-1:foo', '-1:sep3x3_1', 'a:conv1x1', '-1:sep3x3_0x1'])
def test_bad_strings_and_operations(text):
    with pytest.raises(ValueError):
        Cell.from_string(text)
    with pytest.raises(ValueError, match='an operation must be one of'):
        Operation(text)
    with pytest.raises(ValueError, match='no size'):
        Operation('conv1x1', (1, 2))


@pytest.mark.parametrize('name', PRESETS)
def test_drawing(tmp_path, name):
    """Twice the same file."""
    drawings = set()
    for _ in range(2):
        save_figure(draw_cell(PRESETS[name](), name), tmp_path / 'cell.svg')
        drawings.add((tmp_path / 'cell.svg').read_text())
    (text,) = drawings
    assert text.startswith('<?xml') and [p.name for p in tmp_path.iterdir()] == ['cell.svg']


def test_every_branch_has_an_arrow_to_what_it_reads_and_one_to_the_concatenation():
    axes = draw_cell(PRESETS['dpc_cityscapes']()).axes[0]
    arrows = [text for text in axes.texts if getattr(text, 'arrowprops', None)]
    assert len(arrows) == 2 * 5
    # Each into a place of its own.
    bottom = min(arrow.xy[1] for arrow in arrows)
    assert len({arrow.xy[0] for arrow in arrows if arrow.xy[1] == bottom}) == 5
