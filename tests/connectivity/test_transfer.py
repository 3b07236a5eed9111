import pytest
from hypothesis import example, given
from reference.strategies import connectivities, stride_lists

from mmseg_sparsemask.connectivity.graph import Connectivity
from mmseg_sparsemask.connectivity.presets import MBV2_STRIDES, preset
from mmseg_sparsemask.connectivity.transfer import match_levels, transfer, transfer_report

FIVE = (2, 4, 8, 16, 32)


def test_published_architecture_on_five_stages():
    report = transfer_report(preset('sparsemask_mbv2_voc'), FIVE)
    assert str(report.connectivity) == 'D5: E5 G · D4: E4 G · D1: E1 E4 E5 D4 D5 G'
    assert report.connectivity.strides == FIVE
    assert report.levels == (1, 1, 2, 3, 4, 4, 5, 5, 5)
    assert report.dropped == ()
    assert report.connectivity.meta['transferred_from'] == list(MBV2_STRIDES)
    assert 'transferred_from' not in preset('sparsemask_mbv2_voc').meta


def test_published_architecture_without_the_finest_feature():
    # A transformer or ConvNeXt starts at stride 4: D1 stays, E1 goes.
    report = transfer_report(preset('sparsemask_mbv2_voc'), (4, 8, 16, 32))
    assert str(report.connectivity) == 'D4: E4 G · D3: E3 G · D1: E3 E4 D3 D4 G'
    assert report.dropped == ('E1: no feature of stride 2',)


@pytest.mark.parametrize(
    'source, target, expected',
    [
        ((2, 4), (2, 4), (1, 2)),
        ((2, 4), (4, 8), (None, 1)),
        # More in the source: the last to the last, those left over to the first.
        ((8, 8, 8), (8, 8), (1, 1, 2)),
        ((8, 8, 8), (8,), (1, 1, 1)),
        # More in the target: the last to the last.
        ((8,), (8, 8, 8), (3,)),
        ((4, 8, 8), (4, 4, 8, 8, 8), (2, 4, 5)),
        # Order does not matter for strides that do not repeat.
        ((4, 2), (2, 4), (2, 1)),
        # Repetitions need not stand side by side.
        ((8, 4, 8), (8, 8, 4), (1, 3, 2)),
    ],
)
def test_matches_by_hand(source, target, expected):
    assert match_levels(source, target) == expected


def test_stages_that_meet_are_joined():
    c = Connectivity(
        (4, 8, 8, 8),
        {'D4': ['E4'], 'D3': ['E3', 'D4'], 'D2': ['D3', 'G'], 'D1': ['E1', 'D2', 'D4']},
    )
    report = transfer_report(c, (4, 8))
    assert str(report.connectivity) == 'D2: E2 G · D1: E1 D2'
    assert report.dropped == ()


def test_what_runs_against_the_order_is_dropped_and_told():
    c = Connectivity((4, 8, 16), {'D3': ['E3'], 'D2': ['D3', 'E2'], 'D1': ['E1', 'D2']})
    report = transfer_report(c, (4, 16, 8))
    assert str(report.connectivity) == 'D3: E3 · D1: E1 D3'
    assert report.dropped == (
        'D3 -> D2: would be D2 -> D3, which runs against the order of levels',
        'E2 -> D2: left without input or user',
    )


@given(connectivities(), stride_lists())
@example(preset('sparsemask_mbv2_voc'), (8, 8, 8))
@example(Connectivity((2,), {'D1': ['G']}), (4, 4))
def test_valid_or_a_clear_error(c, strides):
    try:
        report = transfer_report(c, strides)
    except ValueError as error:
        assert str(error).startswith('nothing is left of the decoder')
        return
    result = report.connectivity
    assert isinstance(result, Connectivity) and result.strides == strides
    assert len(result) <= len(c)
    assert transfer(c, strides) == result == transfer(result, strides)
    for level, stride in zip(report.levels, c.strides):
        assert (stride in strides) == (level is not None)
        assert level is None or strides[level - 1] == stride
    uses_encoder = any(source.startswith('E') for source, _ in c)
    assert uses_encoder == any(source.startswith('E') for source, _ in result)


@pytest.mark.parametrize(
    ('strides', 'expected'),
    [
        ((4, 8, 16, 32), 'D4: E4 · D3: E3 · D1: E1 E2 D3 D4'),
        ((2, 4, 8, 32), 'D4: E4 · D2: E2 E3 D4'),
        ((2, 8, 16), 'D3: E3 · D2: E2 D3'),  # no stride 4: the next coarser one
        ((8, 16, 32), 'D3: E3 · D2: E2 · D1: E1 D2 D3'),
    ],
)
def test_an_end_that_is_not_d1_goes_where_its_feature_goes(strides, expected):
    stages = {'D5': ['E5'], 'D4': ['E4'], 'D2': ['E2', 'E3', 'D4', 'D5']}
    found = transfer(Connectivity((2, 4, 8, 16, 32), stages), strides)
    assert str(found) == expected


@given(connectivities())
def test_identity_on_equal_strides(c):
    report = transfer_report(c, list(c.strides))
    assert report.connectivity == c and report.dropped == ()
    assert report.levels == tuple(range(1, c.num_levels + 1))


@given(connectivities(monotone=True, distinct=True, min_levels=2))
def test_a_finer_feature_in_front_renames_all_but_d1(c):
    # With a new level 1 everything moves up by one, and nothing is lost.
    finer = (c.strides[0] * 3, *c.strides)
    result = transfer(c, finer)

    def moved(name):
        return name if name in ('G', 'D1') else f'{name[0]}{int(name[1:]) + 1}'

    assert set(result) == {(moved(source), moved(stage)) for source, stage in c}


BAD = {
    'no match': ((64, 128), r'nothing is left.*\[2, 2, 4.*E1, E6, E7, E8, E9; on \[64, 128\]'),
    'no strides': ((), 'non-empty list'),
    'a stride of zero': ((0,), 'positive integers, got 0'),
}


@pytest.mark.parametrize('name', BAD)
def test_bad_input(name):
    strides, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        transfer(preset('sparsemask_mbv2_voc'), strides)
