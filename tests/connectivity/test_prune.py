import itertools
import math

import pytest
from hypothesis import given
from reference.strategies import connection_weights, connectivities

from mmseg_sparsemask.connectivity.graph import Connection, Connectivity, all_connections
from mmseg_sparsemask.connectivity.presets import MBV2_STRIDES, preset
from mmseg_sparsemask.connectivity.prune import (
    DEFAULT_THRESHOLD,
    drop_subsumed,
    drop_unreachable,
    is_allowed,
    keep_above,
    merge_duplicates,
    prune,
    separation,
)


def edges(stages):
    return {Connection(source, stage) for stage, text in stages.items() for source in text.split()}


def weights_of(connections, levels):
    kept = set(connections)
    return {c: 1.0 if c in kept else 0.0 for c in all_connections(levels)}


def on_a_path(connections):
    """Connections on some path from an encoder feature or G to D1, by walking all paths."""
    found = set()

    def walk(stage, path):
        for source, _ in (c for c in connections if c[1] == stage):
            longer = [*path, (source, stage)]
            if source.startswith('D'):
                walk(source, longer)
            else:
                found.update(longer)

    walk('D1', [])
    return found


@pytest.mark.parametrize('levels', [1, 2, 3])
def test_unreachable_against_all_paths_of_every_subset(levels):
    every = all_connections(levels)
    for chosen in itertools.product([False, True], repeat=len(every)):
        subset = set(itertools.compress(every, chosen))
        assert drop_unreachable(subset) == on_a_path(subset)


def test_fixed_point_takes_several_rounds():
    # D4 has no input, so D3 loses its only one, then D2. D5 is used by nobody alive, then D6.
    stages = {'D6': 'E6', 'D5': 'D6', 'D3': 'D4', 'D2': 'D3', 'D1': 'E1 D2'}
    assert drop_unreachable(edges(stages)) == {('E1', 'D1')}


def test_threshold_keeps_what_is_equal():
    weights = {Connection('E1', 'D1'): 1e-3, Connection('G', 'D1'): 0.000999}
    assert DEFAULT_THRESHOLD == 0.001
    assert keep_above(weights) == {('E1', 'D1')}
    assert separation(weights) == (0.000999, 1e-3)
    assert separation({Connection('E1', 'D1'): 1.0}) == (0.0, 1.0)
    assert separation({Connection('E1', 'D1'): 0.0}) == (0.0, math.inf)


def test_equal_stages_become_the_coarsest():
    stages = {'D4': 'E4', 'D3': 'E4 G', 'D2': 'E4 G', 'D1': 'E1 D2 D3 D4'}
    expected = {'D4': 'E4', 'D3': 'E4 G', 'D1': 'E1 D3 D4'}
    assert merge_duplicates(edges(stages)) == edges(expected)


def test_a_stage_equal_to_d1_leaves_d1_in_place():
    stages = {'D3': 'E3', 'D2': 'D3 G', 'D1': 'D3 G'}
    assert merge_duplicates(edges(stages)) == edges(stages)


def test_subsumed_needs_inputs_and_users():
    stages = {'D4': 'E4', 'D3': 'E4 G', 'D1': 'D3 D4'}
    assert drop_subsumed(edges(stages)) == edges({'D3': 'E4 G', 'D1': 'D3'})
    # D2 takes D4 but not D3: D4 has a user that D3 has not, and stays.
    stages = {'D4': 'E4', 'D3': 'E4 G', 'D2': 'D4 E2', 'D1': 'D2 D3 D4'}
    assert drop_subsumed(edges(stages)) == edges(stages)
    # Equal inputs are no proper subset: that is for merge_duplicates.
    stages = {'D3': 'E3', 'D2': 'E3', 'D1': 'D2 D3'}
    assert drop_subsumed(edges(stages)) == edges(stages)


def test_merging_goes_on_until_nothing_changes():
    # D4 = D5 makes D2 = D3 only after it was replaced.
    stages = {'D5': 'E5', 'D4': 'E5', 'D3': 'D5 G', 'D2': 'D4 G', 'D1': 'E1 D2 D3'}
    weights = weights_of(edges(stages), 5)
    strides = (2, 4, 8, 16, 32)
    assert str(prune(weights, strides, merge=True)) == 'D5: E5 · D3: D5 G · D1: E1 D3'
    assert set(prune(weights, strides)) == edges(stages)


def test_merging_drops_what_lost_its_user():
    # D3 is subsumed by D2; D5 was there for D3 alone.
    stages = {'D5': 'E5', 'D4': 'E4 G', 'D3': 'D5', 'D2': 'D5 D4', 'D1': 'D3 D2'}
    weights = weights_of(edges(stages), 5)
    result = prune(weights, (2, 4, 8, 16, 32), merge=True)
    assert str(result) == 'D5: E5 · D4: E4 G · D2: D4 D5 · D1: D2'


def test_published_architecture_is_a_fixed_point_of_everything():
    found = preset('sparsemask_mbv2_voc')
    weights = weights_of(found, 9)
    assert prune(weights, MBV2_STRIDES) == prune(weights, MBV2_STRIDES, merge=True) == found


@given(connection_weights())
def test_prune_is_valid_idempotent_and_never_grows(drawn):
    strides, weights = drawn
    above = {c for c, w in weights.items() if w >= DEFAULT_THRESHOLD}
    for merge in (False, True):
        if not on_a_path(above):
            with pytest.raises(ValueError, match='everything is pruned'):
                prune(weights, strides, merge=merge)
            continue
        result = prune(weights, strides, merge=merge, meta={'source': 'search'})
        assert isinstance(result, Connectivity) and result.strides == strides
        assert len(result) <= len(above)
        assert result.meta == {'source': 'search'}
        if not merge:
            assert set(result) == on_a_path(above)
        again = prune(weights_of(result, len(strides)), strides, merge=merge)
        assert again == result


@given(connectivities())
def test_valid_ones_have_nothing_to_drop(c):
    assert drop_unreachable(c, c.end) == set(c)
    assert all(is_allowed(edge, c.num_levels) for edge in c)
    assert len(drop_subsumed(c)) <= len(c) and len(merge_duplicates(c)) <= len(c)


ONE = Connection('E1', 'D1')


@pytest.mark.parametrize('merge', [False, True])
def test_a_search_space_ends_at_its_finest_stage(merge):
    """Where D2 is the last, connections reach D2; without them D3 does not become the end."""
    space = edges({'D4': 'E4', 'D3': 'E4 G', 'D2': 'E2 D3 D4'})
    weights = dict.fromkeys(sorted(space), 1.0)
    assert str(prune(weights, [2, 4, 8, 16], merge=merge)) == (
        'D3: E4 G · D2: E2 D3' if merge else 'D4: E4 · D3: E4 G · D2: E2 D3 D4'
    )
    weights.update((c, 0.0) for c in space if c.stage == 'D2')
    with pytest.raises(ValueError, match=r'no connection reaches D2 \(largest weight into D2: 0\)'):
        prune(weights, [2, 4, 8, 16], merge=merge)
    assert drop_unreachable(space, 'D3') == edges({'D3': 'E4 G'})


BAD = {
    'threshold 0': (lambda: prune({ONE: 1.0}, [2], 0), r'threshold: expected.*\(0, 1\), got 0'),
    'threshold 1': (lambda: prune({ONE: 1.0}, [2], 1), r'\(0, 1\), got 1'),
    'threshold NaN': (lambda: prune({ONE: 1.0}, [2], math.nan), 'got nan'),
    'NaN weight': (
        lambda: prune({ONE: math.nan}, [2]),
        r'weight of E1 -> D1: expected a number in \[0, 1\], got nan; the search diverged: lower',
    ),
    'weight above 1': (lambda: prune({ONE: 1.5}, [2]), r'got 1\.5'),
    'nothing reaches D1': (
        lambda: prune({ONE: 5e-4, Connection('E2', 'D2'): 0.5}, [2, 4]),
        r'no connection reaches D1 \(largest weight into D1: 0\.0005\); lower the threshold',
    ),
    'no weights': (lambda: prune({}, [2]), 'everything is pruned'),
    'weights of another supernet': (
        lambda: prune({ONE: 1.0, Connection('E9', 'D1'): 1.0}, [2]),
        "'E9' is not allowed",
    ),
}


@pytest.mark.parametrize('name', BAD)
def test_bad_input(name):
    call, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        call()
