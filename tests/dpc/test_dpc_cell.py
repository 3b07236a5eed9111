import itertools
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmseg_sparsemask.dpc.cell import Branch, Cell, Operation
from mmseg_sparsemask.dpc.draw import draw_cell
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


def test_published_pooling_and_1x1():
    cell = Cell.from_published(
        [
            {'op': 'pyramid_pooling', 'grid_size': [2, 4], 'input': -1},
            {'op': 'conv', 'kernel': 1, 'input': 0},
        ]
    )
    assert cell.to_string() == '-1:pool_2x4 0:conv1x1'


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
        ({**GOOD, 'branches': [{'input': -1, 'op': 'maxpool'}]}, "unknown operation 'maxpool'"),
        ({**GOOD, 'branches': [{'input': -1, 'op': 'sep3x3'}]}, 'rate must be two positive'),
        ({**GOOD, 'branches': [{'input': -1, 'op': 'pool', 'grid': [0, 1]}]}, 'grid must be two'),
        ({**GOOD, 'branches': [{'input': -1, 'op': 'conv1x1', 'rate': [1, 1]}]}, 'unknown key'),
        ({**GOOD, 'branches': [{'input': 0, 'op': 'conv1x1'}]}, 'first branch must read -1'),
        (
            {**GOOD, 'branches': [{'input': -1, 'op': 'conv1x1'}, {'input': 1, 'op': 'conv1x1'}]},
            'branch 1 reads branch 1',
        ),
        ({**GOOD, 'branches': [{'input': -2, 'op': 'conv1x1'}]}, 'branch 0 reads -2'),
        ([{'kernel': 5, 'rate': [1, 1], 'op': 'conv', 'input': -1}], 'kernel 1 or 3'),
        ([{'kernel': 3, 'rate': [1], 'op': 'conv', 'input': -1}], 'two positive integers'),
        ([{'kernel': 3, 'rate': [1, 1], 'op': 'conv'}], 'no input'),
        ([{'kernel': 3, 'rate': [1, 1], 'op': 'conv', 'input': 4}], 'first branch'),
        ([7], 'expected a dict'),
    ],
)
def test_bad_cells(source, message):
    with pytest.raises(ValueError, match=message):
        resolve_cell(source)


def test_bad_files(tmp_path):
    (tmp_path / 'cell.json').write_text('{')
    with pytest.raises(ValueError, match='is not JSON'):
        Cell.load(tmp_path / 'cell.json')
    (tmp_path / 'cell.json').write_text('1')
    with pytest.raises(ValueError, match='expected a cell'):
        Cell.load(tmp_path / 'cell.json')


@pytest.mark.parametrize('text', ['x', '-1:foo', '-1:sep3x3_1', 'a:conv1x1', '-1:sep3x3_0x1'])
def test_bad_strings(text):
    with pytest.raises(ValueError):
        Cell.from_string(text)


def test_bad_operations():
    with pytest.raises(ValueError, match='unknown operation'):
        Operation('conv')
    with pytest.raises(ValueError, match='no size'):
        Operation('conv1x1', (1, 2))


@pytest.mark.parametrize('name', PRESETS)
def test_drawing(tmp_path, name):
    cell = PRESETS[name]()
    save_figure(draw_cell(cell, name), tmp_path / 'cell.svg')
    text = (tmp_path / 'cell.svg').read_text()
    assert text.startswith('<?xml') and [p.name for p in tmp_path.iterdir()] == ['cell.svg']


@pytest.mark.parametrize('module', ['cell', 'presets', 'space', 'cost', 'draw'])
def test_pure_part_imports_no_framework(module):
    root = Path(__file__).parents[2] / 'mmseg_sparsemask'
    # The packages register with the toolbox; empty stand-ins keep that out of the way.
    code = (
        'import sys, types\n'
        f'for name, path in ("mmseg_sparsemask", {str(root)!r}), '
        f'("mmseg_sparsemask.dpc", {str(root / "dpc")!r}):\n'
        '    sys.modules[name] = types.ModuleType(name)\n'
        '    sys.modules[name].__path__ = [path]\n'
        f'import mmseg_sparsemask.dpc.{module}\n'
        'print([m for m in sys.modules if m.split(".")[0] in '
        '("torch", "mmengine", "mmcv", "mmseg", "mmpretrain", "optuna")])'
    )
    out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == '[]'
