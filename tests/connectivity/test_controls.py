import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.strategies import connection_weights, stride_lists

from mmseg_sparsemask.connectivity import (
    Connection,
    Connectivity,
    DecoderShape,
    preset,
    prune,
    resolve,
)
from mmseg_sparsemask.connectivity import controls as tested
from mmseg_sparsemask.connectivity.budget import cheapest_cost
from mmseg_sparsemask.connectivity.controls import (
    TOLERANCE,
    overlap,
    permuted_places,
    random_decoder,
)
from mmseg_sparsemask.connectivity.presets import MBV2_CHANNELS, MBV2_STRIDES
from mmseg_sparsemask.connectivity.prune import drop_unreachable, keep_above

MBV2 = DecoderShape(MBV2_STRIDES, MBV2_CHANNELS)


def costs_of(strides, kind='parameters', size=(512, 512)):
    channels = [4 * level for level in range(1, len(strides) + 1)]
    counted = DecoderShape(strides, channels, 8, 3).part_costs(preset('fdn', strides), size)
    return getattr(counted, kind)


@settings(max_examples=20)
@given(
    stride_lists(min_levels=4, distinct=True, monotone=True),
    st.integers(0, 2**32),
    st.floats(0.2, 0.8),
)
def test_a_random_decoder_is_reachable_and_within_the_tolerance(strides, seed, share):
    costs = costs_of(strides)
    full = frozenset(preset('fdn', strides))
    low, high = cheapest_cost(full, costs), costs.total(full)
    target = low + share * (high - low)
    drawn = random_decoder(strides, costs, 'parameters', target, seed)
    assert drawn.strides == strides
    assert drop_unreachable(drawn) == frozenset(drawn)
    assert abs(costs.total(drawn) - target) <= TOLERANCE * target
    assert drawn == random_decoder(strides, costs, 'parameters', target, seed)


def test_seeds_give_different_decoders_of_the_published_size():
    found = [
        resolve(dict(source='random', seed=seed, parameters=560_981), shape=MBV2)
        for seed in range(8)
    ]
    assert len(set(found)) == 8
    for seed, drawn in enumerate(found):
        parameters = MBV2.cost(drawn).parameters
        assert parameters == pytest.approx(560_981, rel=0.05)
        assert drawn.meta['seed'] == seed and drawn.meta['parameters'] == parameters


def test_overlap_by_hand():
    """Three of five connections shared; two of five; two of four."""
    first, second, third = (
        Connectivity([2, 4], stages)
        for stages in (
            {'D2': ['E2'], 'D1': ['E1', 'E2', 'D2']},
            {'D2': ['E2', 'G'], 'D1': ['E1', 'D2']},
            {'D1': ['E1', 'E2']},
        )
    )
    assert overlap([first, second]) == 3 / 5
    assert overlap([first, first]) == 1
    assert overlap([first, second, third]) == pytest.approx((3 / 5 + 2 / 4 + 1 / 5) / 3)
    with pytest.raises(ValueError, match='at least two decoders, got 1'):
        overlap([first])
    with pytest.raises(ValueError, match=r'same features, got strides \[\(2, 4\), \(2, 8\)\]'):
        overlap([first, Connectivity([2, 8], {'D1': ['E1']})])


def test_draws_follow_the_definition(monkeypatch):
    """Every decoder of two levels comes up, also the full one and single connections."""
    costs = costs_of((4, 8))
    # Whatever a decoder costs, it is near enough.
    monkeypatch.setattr(tested, 'TOLERANCE', 0.99)
    drawn = {random_decoder((4, 8), costs, 'parameters', 410, seed) for seed in range(400)}
    # D1 takes some of E1, E2, G; and, where D2 is there, D2 and two of its own inputs or more.
    without = 2**3 - 1
    with_stage = 2**3 * (2**2 - 1)
    assert len(drawn) == without + with_stage


def test_multiply_adds_are_those_of_the_image():
    spec = dict(source='random', seed=3, multiply_adds=400e6, image_size=[240, 320])
    cost = MBV2.cost(resolve(spec, shape=MBV2), (240, 320))
    assert cost.multiply_adds == pytest.approx(400e6, rel=0.05)


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(parameters=10), r'expected .* cost 2,5\d\d parameters to 1,934,293 param.* got 10 p'),
        (dict(parameters=3e6), 'to 1,934,293 parameters, got 3,000,000'),
        (dict(parameters=-1), 'expected a positive number of parameters'),
        (dict(parameters=1e6, multiply_adds=1e6), 'got the keys'),
        (dict(), 'got the keys'),
        (dict(multiply_adds=1e6), r'image_size=\(height, width\)'),
        (dict(multiply_adds=1e8, image_size=512), r'image_size: expected \(height, width\)'),
        (dict(parameters=1e6, strides=[4]), 'got the keys'),
        (dict(parameters=1e6, seed=0.5), 'expected a whole number as seed, got 0.5'),
    ],
)
def test_bad_settings(change, message):
    with pytest.raises(ValueError, match=message):
        resolve({'source': 'random', 'seed': 0, **change}, shape=MBV2)


def test_settings_without_a_head():
    with pytest.raises(ValueError, match='expected it in a SparseMaskHead'):
        resolve(dict(source='random', seed=0, parameters=1e6), MBV2_STRIDES)


def test_a_size_that_no_draw_has(monkeypatch):
    # One level: E1, G or both feed D1, which costs 75, 75 or 107.
    costs = costs_of((4,))
    single = costs.total([Connection('G', 'D1')])
    assert (single, costs.total(preset('fdn', (4,)))) == (75, 107)
    monkeypatch.setattr(tested, 'MAX_DRAWS', 100)
    with pytest.raises(ValueError, match=r'none of 100 draws .* cost 75 param.* to 107 param'):
        random_decoder((4,), costs, 'parameters', 91, 0)


@settings(max_examples=30)
@given(connection_weights(min_levels=3), st.integers(0, 2**32))
def test_permuted_weights_prune_to_the_decoder_that_is_returned(example, seed):
    strides, weights = example
    if not drop_unreachable(keep_above(weights)):
        return
    pruned, costs = prune(weights, strides), costs_of(strides)
    places, found = permuted_places(weights, pruned, costs, seed)
    assert set(places) == set(places.values()) == set(weights)
    assert len(found) == len(pruned)
    assert abs(costs.total(found) - costs.total(pruned)) <= TOLERANCE * costs.total(pruned)
    permuted = {connection: weights[other] for connection, other in places.items()}
    assert sorted(permuted.values()) == sorted(weights.values())
    dropped = [permuted[c] for c in permuted if c not in found]
    assert min(permuted[c] for c in found) >= max(dropped, default=0)


def test_permutations_differ_by_seed():
    weights = dict.fromkeys(preset('fdn', MBV2_STRIDES), 0.0)
    pruned = preset('sparsemask_mbv2_voc')
    weights.update(dict.fromkeys(pruned, 0.7))
    costs = MBV2.part_costs(preset('fdn', MBV2_STRIDES)).parameters
    found = [permuted_places(weights, pruned, costs, seed)[1] for seed in (0, 1, 2, 0)]
    assert len(set(found)) == 3 and found[0] == found[3]
    assert all(len(decoder) == 15 for decoder in found)


def test_no_permutation_of_the_same_cost(monkeypatch):
    weights = dict.fromkeys(preset('fdn', (4, 8)), 0.0)
    weights[Connection('E1', 'D1')] = 1.0
    monkeypatch.setattr(tested, 'MAX_DRAWS', 0)
    with pytest.raises(ValueError, match='none of 0 draws with 1 connections'):
        permuted_places(weights, prune(weights, (4, 8)), costs_of((4, 8)), 0)
