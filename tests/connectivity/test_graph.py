import copy
import pickle

import pytest
from hypothesis import given
from reference.strategies import connectivities

from mmseg_sparsemask.connectivity.graph import (
    Connection,
    Connectivity,
    Feature,
    all_connections,
    allowed_sources,
    check_strides,
    level_of,
    stages_from,
)


@pytest.mark.parametrize('levels, count', [(1, 2), (2, 6), (4, 20), (5, 30), (9, 90)])
def test_number_of_connections_of_the_fully_dense_network(levels, count):
    connections = all_connections(levels)
    assert len(connections) == len(set(connections)) == count


def test_sources_by_the_papers_rule():
    # Dl takes Ei (i >= l), Di (i > l) and G.
    assert allowed_sources(3, 5) == ('E3', 'E4', 'E5', 'D4', 'D5', 'G')
    assert allowed_sources(5, 5) == ('E5', 'G')
    assert [stage for _, stage in all_connections(2)] == ['D2', 'D2', 'D1', 'D1', 'D1', 'D1']


def test_order_in_which_it_was_written_does_not_matter():
    one = Connectivity([2, 4, 8], {'D1': ['G', 'D3', 'E1'], 'D3': ['G', 'E3']})
    two = Connectivity((2, 4, 8), {'D3': ('E3', 'G'), 'D1': ('E1', 'D3', 'G')}, {'source': 'x'})
    assert one == two and hash(one) == hash(two) and len({one, two}) == 1
    assert one.end == 'D1' and Connectivity([2, 4, 8], {'D2': ['G']}).end == 'D2'
    assert list(one.stages) == ['D3', 'D1'] and one.stages['D1'] == ('E1', 'D3', 'G')
    assert str(one) == 'D3: E3 G · D1: E1 D3 G'
    assert one != Connectivity([2, 4, 16], dict(one.stages))
    assert one != Connectivity([2, 4, 8], {'D1': ['E1']})


def test_questions():
    c = Connectivity([2, 4, 8], {'D1': ['E1', 'D2', 'D3', 'G'], 'D2': ['D3'], 'D3': ['E3', 'G']})
    assert (c.num_levels, len(c)) == (3, 7)
    assert c.users('G') == ('D3', 'D1') and c.users('D3') == ('D2', 'D1')
    assert c.users('E2') == ()
    assert c.sources() == ('E1', 'E3', 'D2', 'D3', 'G')
    assert [c.stride_of(name) for name in ('E2', 'D3', 'G')] == [4, 8, None]
    assert ('E1', 'D1') in c and Connection('E2', 'D1') not in c
    assert stages_from(c) == {'D3': ['E3', 'G'], 'D2': ['D3'], 'D1': ['E1', 'D2', 'D3', 'G']}


@given(connectivities(max_levels=6))
def test_copies_are_equal(c):
    assert Connectivity.from_connections(c.strides, reversed(c.connections)) == c
    assert pickle.loads(pickle.dumps(c)) == c == copy.deepcopy(c)
    assert set(c) <= set(all_connections(c.num_levels))


def test_immutable_and_apart_from_what_it_was_made_of():
    stages, meta = {'D1': ['E1']}, {'source': 'a'}
    c = Connectivity([4], stages, meta)
    stages['D1'].append('G')
    meta['source'] = 'b'
    assert c.stages['D1'] == ('E1',) and c.meta['source'] == 'a'
    with pytest.raises(AttributeError):
        c.strides = (8,)
    with pytest.raises(TypeError):
        c.stages['D1'] = ('G',)


def test_level_of():
    assert (level_of('E1'), level_of('D12')) == (1, 12)
    assert Feature('E3', channels=24, stride=4).module == ''


BAD = {
    'name without level': (lambda: level_of('G'), r"expected a feature name.*'E3'.*got 'G'"),
    'name with leading zero': (lambda: level_of('E03'), "got 'E03'"),
    'no strides': (lambda: check_strides([]), 'non-empty list of positive integers'),
    'strides as text': (lambda: check_strides('248'), "got '248'"),
    'stride zero': (lambda: check_strides([2, 0]), r'positive integers, got 0 in \[2, 0\]'),
    'stride as float': (lambda: check_strides([2.0]), r'got 2\.0'),
    'stride as bool': (lambda: check_strides([True]), 'got True'),
    'strides as a number': (lambda: Connectivity(9, {'D1': ['E1']}), 'got 9'),
    'sources as text': (lambda: Connectivity([2], {'D1': 'E1'}), r"stages\['D1'\].*got 'E1'"),
    'source not text': (lambda: Connectivity([2], {'D1': [1]}), 'expected names, got 1'),
    'source twice': (lambda: Connectivity([2], {'D1': ['G', 'G']}), "'G' is listed twice"),
    'unknown stage': (
        lambda: Connectivity([2], {'D1': ['E1'], 'D2': ['G']}),
        "unknown stage 'D2': 1 strides allow D1 to D1",
    ),
    'level that is not there': (
        lambda: Connectivity([2, 4], {'D1': ['E3']}),
        r"'E3' is not allowed \(no such feature among 2 levels\); allowed are E1, E2, D2, G",
    ),
    'alien source': (lambda: Connectivity([2], {'D1': ['F1']}), "'F1' is not allowed"),
    'finer encoder feature': (
        lambda: Connectivity([2, 4], {'D1': ['D2'], 'D2': ['E1']}),
        'its own level or coarser',
    ),
    'cycle': (lambda: Connectivity([2, 4], {'D1': ['D2'], 'D2': ['D1', 'G']}), 'cycle'),
    'stage that takes itself': (lambda: Connectivity([2], {'D1': ['D1']}), 'cycle'),
    'no stage': (lambda: Connectivity([2, 4], {}), 'expected at least one, such as'),
    'empty end': (lambda: Connectivity([2, 4], {'D2': []}), 'D2.*has no input; give it one'),
    'two ends': (
        lambda: Connectivity([2, 4, 8], {'D3': ['E3'], 'D2': ['E2']}),
        'D3: no stage takes it, and D2 is the last',
    ),
    'empty D1': (lambda: Connectivity([2], {'D1': []}), 'D1.*has no input; give it one'),
    'stage without input': (
        lambda: Connectivity([2, 4], {'D1': ['D2'], 'D2': []}),
        'dangling stage D2: it has no input; prune.drop_unreachable',
    ),
    'stage without user': (
        lambda: Connectivity([2, 4], {'D1': ['E1'], 'D2': ['G']}),
        'dangling stage D2: no stage takes it',
    ),
    'stage that is taken but missing': (
        lambda: Connectivity([2, 4], {'D1': ['D2']}),
        'D2 is taken by a stage but has no inputs',
    ),
}


@pytest.mark.parametrize('name', BAD)
def test_bad_input(name):
    call, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        call()
