import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.strategies import connection_weights

from mmseg_sparsemask.connectivity import (
    Connection,
    Connectivity,
    DecoderShape,
    preset,
    prune,
    resolve,
)
from mmseg_sparsemask.connectivity import controls as tested
from mmseg_sparsemask.connectivity.controls import (
    TOLERANCE,
    like,
    overlap,
    permuted_places,
    random_decoder,
)
from mmseg_sparsemask.connectivity.presets import MBV2_CHANNELS, MBV2_STRIDES
from mmseg_sparsemask.connectivity.prune import drop_unreachable, keep_above

PACKAGE = Path(__file__).parents[2] / 'mmseg_sparsemask'
MBV2 = DecoderShape(MBV2_STRIDES, MBV2_CHANNELS)


def shape_of(strides):
    return DecoderShape(strides, [4 * level for level in range(1, len(strides) + 1)], 8, 3)


def costs_of(strides):
    return shape_of(strides).part_costs(preset('fdn', strides)).parameters


@pytest.mark.parametrize(
    'kinds', [['parameters'], ['multiply_adds'], ['parameters', 'multiply_adds']]
)
@pytest.mark.parametrize('name', ['unet', 'flat', 'fpn', 'sparse_acn', 'sparsemask_mbv2_voc'])
def test_a_random_decoder_is_what_was_asked_for(name, kinds):
    """Costs of a known decoder; then those of the one that was drawn, with its inputs of D1."""
    size = (72, 104)
    cost = MBV2.cost(preset(name, MBV2_STRIDES), size)
    wanted = {kind: getattr(cost, kind) for kind in kinds}
    first = random_decoder(MBV2, wanted, 3, size)
    inputs = len(first.stages['D1'])
    second = random_decoder(MBV2, wanted, 4, size, inputs)
    assert len(second.stages['D1']) == inputs and second != first
    for drawn in (first, second):
        assert drop_unreachable(drawn) == frozenset(drawn)
        for kind, asked in wanted.items():
            found = getattr(MBV2.cost(drawn, size), kind)
            assert found == drawn.meta[kind] and abs(found - asked) <= TOLERANCE * asked


def test_a_control_ends_where_the_decoder_ends():
    found = Connectivity(MBV2_STRIDES, {'D8': ['E8'], 'D4': ['E4', 'D8'], 'D3': ['E3', 'D4', 'G']})
    size = (72, 104)
    drawn = resolve(like(found, MBV2, 0, size, same_inputs=True), shape=MBV2)
    assert drawn.end == 'D3' and len(drawn.stages['D3']) == 3
    assert MBV2.cost(drawn, size).parameters == pytest.approx(MBV2.cost(found).parameters, rel=0.05)


#: What two searches found on EfficientNet-Lite0, with 94,795 and 159,563 parameters.
SEARCHED = [
    'D6: E6 E7 · D3: E3 E5 E6 · D1: E1 E2 E3 E4 E5 E6 E7 E8 D3 D6',
    'D9: E9 · D4: E4 D9 · D3: E3 E4 E5 E6 D4 · D2: E2 E3 E4 D3 · D1: E1 E2 E3 E4 E5 E6 E7 D2 D3',
]
LITE0 = DecoderShape(MBV2_STRIDES, (32, 16, 24, 40, 80, 112, 192, 320, 1280), 64, 11)


@pytest.mark.parametrize('same_inputs', [False, True])
@pytest.mark.parametrize('searched', SEARCHED)
def test_controls_have_both_costs_and_inputs_of_a_searched_decoder(searched, same_inputs):
    stages = dict(stage.split(': ') for stage in searched.split(' · '))
    decoder = Connectivity(MBV2_STRIDES, {stage: s.split() for stage, s in stages.items()})
    size = (240, 320)
    cost = LITE0.cost(decoder, size)
    inputs = set()
    found = set()
    for seed in range(4):
        drawn = resolve(like(decoder, LITE0, seed, size, same_inputs), shape=LITE0)
        assert LITE0.cost(drawn, size).parameters == pytest.approx(cost.parameters, rel=0.05)
        assert LITE0.cost(drawn, size).multiply_adds == pytest.approx(cost.multiply_adds, rel=0.05)
        inputs.add(len(drawn.stages['D1']))
        found.add(drawn)
    assert len(found) == 4
    assert inputs == {len(decoder.stages['D1'])} if same_inputs else len(inputs) > 2


def test_the_same_seed_gives_the_same_decoder_in_every_process():
    command = f"""
import sys, types
package = sys.modules['mmseg_sparsemask'] = types.ModuleType('mmseg_sparsemask')
package.__path__ = [{str(PACKAGE)!r}]
from mmseg_sparsemask.connectivity import DecoderShape, resolve
shape = DecoderShape({list(MBV2_STRIDES)}, {list(MBV2_CHANNELS)})
size = dict(parameters=150_000, multiply_adds=1e8, image_size=[240, 320])
print(resolve(dict(source='random', seed=3, **size), shape=shape))
"""
    printed = {
        subprocess.run(
            [sys.executable, '-c', command],
            env={**os.environ, 'PYTHONHASHSEED': seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in '123'
    }
    assert len(printed) == 1 and 'D1: ' in printed.pop()


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


def test_every_decoder_near_enough_is_drawn(monkeypatch):
    """All decoders of two levels, also the full one and single connections."""
    # Whatever a decoder costs, it is near enough.
    monkeypatch.setattr(tested, 'TOLERANCE', 0.99)
    drawn = {random_decoder(shape_of((4, 8)), {'parameters': 410}, seed) for seed in range(1500)}
    # D1 takes some of E1, E2, G; and, where D2 is there, D2 and two of its own inputs or more.
    without = 2**3 - 1
    with_stage = 2**3 * (2**2 - 1)
    assert len(drawn) == without + with_stage


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(parameters=10), r'expected .* cost 2,5\d\d parameters to 1,934,293 param.* got 10 p'),
        (dict(parameters=3e6), 'to 1,934,293 parameters, got 3,000,000'),
        (dict(parameters=-1), 'expected a positive number of parameters'),
        (dict(parameters=1e6, multiply_adds=1e6), 'and image_size.*got the keys'),
        (dict(), 'got the keys'),
        (dict(multiply_adds=1e6), r'image_size=\(height, width\)'),
        (dict(multiply_adds=1e8, image_size=512), r'image_size: expected \(height, width\)'),
        (dict(parameters=1e6, strides=[4]), 'got the keys'),
        (dict(parameters=1e6, image_size=[9, 9]), 'got the keys'),
        (dict(parameters=1e6, end_inputs=True), 'expected a whole number as end_inputs, got True'),
        (
            dict(parameters=1e6, end_inputs=19),
            r'expected 1 to 18 inputs of D1 \(end_inputs\), got 19',
        ),
        (dict(parameters=1e6, end='D10'), "expected an end from D1 to D9, got 'D10'"),
        (dict(parameters=1e6, seed=0.5), 'expected a whole number as seed, got 0.5'),
    ],
)
def test_bad_settings(change, message):
    with pytest.raises(ValueError, match=message):
        resolve({'source': 'random', 'seed': 0, **change}, shape=MBV2)
    with pytest.raises(ValueError, match='expected it in a SparseMaskHead'):
        resolve(dict(source='random', seed=0, parameters=1e6), MBV2_STRIDES)


def test_a_size_that_no_draw_has(monkeypatch):
    # One level: E1, G or both feed D1, which costs 75, 75 or 107.
    costs = costs_of((4,))
    single = costs.total([Connection('G', 'D1')])
    assert (single, costs.total(preset('fdn', (4,)))) == (75, 107)
    monkeypatch.setattr(tested, 'MAX_DRAWS', 10)
    with pytest.raises(
        ValueError, match=r'none of 10 draws .* nearest had (75|107) param.* cost 75 param.* to 107'
    ):
        random_decoder(shape_of((4,)), {'parameters': 91}, 0)


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
    monkeypatch.setattr(tested, 'MAX_PERMUTATIONS', 0)
    with pytest.raises(ValueError, match='none of 0 draws with 1 connections'):
        permuted_places(weights, prune(weights, (4, 8)), costs_of((4, 8)), 0)
