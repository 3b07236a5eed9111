import pytest
from hypothesis import given
from reference.strategies import connectivities

from mmseg_sparsemask.connectivity.cost import PartCosts, feature_size
from mmseg_sparsemask.connectivity.graph import Connection, Connectivity
from mmseg_sparsemask.connectivity.presets import MBV2_CHANNELS, MBV2_STRIDES, preset
from mmseg_sparsemask.connectivity.shape import DecoderShape
from mmseg_sparsemask.connectivity.transfer import transfer

MBV2 = DecoderShape(MBV2_STRIDES, MBV2_CHANNELS)
SMALL = DecoderShape([2, 4], [3, 5], channels=4, num_classes=2)


def test_parameters_of_the_papers_resnet_101_decoder():
    on_resnet = transfer(preset('sparsemask_mbv2_voc'), (2, 4, 8, 16, 32))
    resnet = DecoderShape(on_resnet.strides, (64, 256, 512, 1024, 2048), channels=512)
    assert resnet.cost(on_resnet).parameters == 6_862_357


def test_multiply_adds_of_the_published_architecture():
    # At 512x512 strides 2, 16, 32 have 65,536, 1,024 and 256 positions; 64 outputs everywhere.
    stride_2, stride_16, stride_32 = 65_536, 1_024, 256
    d8 = 1280 * 64 * stride_32 + 1280 * 64
    d7 = 160 * 64 * stride_32 + 1280 * 64
    d6 = 96 * 64 * stride_16 + 1280 * 64
    from_encoder = 32 * stride_2 + 96 * stride_16 + (160 + 320 + 1280) * stride_32
    from_decoder = 64 * stride_16 + 2 * 64 * stride_32
    d1 = 64 * (from_encoder + from_decoder + 1280)
    classifier = 64 * 21 * stride_2
    cost = MBV2.cost(preset('sparsemask_mbv2_voc'))
    assert cost.multiply_adds == d8 + d7 + d6 + d1 + classifier == 293_928_960


def test_odd_sizes_round_up():
    assert feature_size((513, 417), 2) == (257, 209)
    assert feature_size((513, 417), 32) == (17, 14)
    assert feature_size((1, 1), 64) == (1, 1)


@given(connectivities())
def test_more_connections_cost_more(c):
    shape = DecoderShape(c.strides, range(3, 3 + c.num_levels), channels=4, num_classes=2)
    cost, full = (shape.cost(graph, (32, 32)) for graph in (c, preset('fdn', c.strides)))
    assert 0 < cost.parameters <= full.parameters
    assert 0 < cost.multiply_adds <= full.multiply_adds
    assert set(cost.stage_parameters) == {*c.stages, 'classifier'}


def test_what_does_not_fit():
    with pytest.raises(ValueError, match=r'expected 9 entries.*\[2, 2, 4.*got \[3, 5\]'):
        DecoderShape(MBV2_STRIDES, [3, 5])
    with pytest.raises(ValueError, match=r'strides \[2, 4\], got \[2, 2, 4.*transfer it'):
        SMALL.cost(preset('sparsemask_mbv2_voc'))


def test_a_shape_is_a_value():
    assert DecoderShape((2, 4), (3, 5), 4, 2) == SMALL and hash(SMALL) == hash(SMALL)
    with pytest.raises(AttributeError):
        SMALL.channels = 8


@pytest.mark.parametrize(
    'name, parameters',
    [
        ('fdn', 1_934_293),
        ('unet', 164_821),
        ('sparse_acn', 721_877),
        ('sparsemask_mbv2_voc', 560_981),
    ],
)
def test_the_papers_decoders(name, parameters):
    """Parts of the search space, given once, sum to what each decoder in it costs."""
    costs = MBV2.part_costs(preset('fdn', MBV2_STRIDES))
    found = preset(name, MBV2_STRIDES)
    cost = MBV2.cost(found)
    assert cost.parameters == sum(cost.stage_parameters.values()) == parameters
    assert costs.parameters.total(found) == parameters
    assert costs.multiply_adds.total(found) == cost.multiply_adds


def test_parts_by_hand():
    c = Connectivity([2, 4], {'D2': ['E2', 'G'], 'D1': ['E1', 'D2']})
    costs = SMALL.part_costs(c, image_size=(8, 8))
    names = [('E2', 'D2'), ('G', 'D2'), ('E1', 'D1'), ('D2', 'D1')]
    assert costs.parameters.connections == dict(zip(names, (20, 20, 12, 16)))
    assert costs.parameters.stages == {'D2': 8, 'D1': 8} and costs.parameters.fixed == 10
    # E2 and D2 at 2x2, G once, E1 and the classifier at 4x4.
    assert costs.multiply_adds.connections == dict(zip(names, (80, 20, 192, 64)))
    assert costs.multiply_adds.stages == {'D2': 0, 'D1': 0} and costs.multiply_adds.fixed == 128
    cost = SMALL.cost(c, image_size=(8, 8))
    # D2: (5 + 5) * 4 weights + 8; D1: (3 + 4) * 4 + 8; classifier: (4 + 1) * 2.
    assert cost.stage_parameters == {'D2': 48, 'D1': 36, 'classifier': 10}
    assert (cost.parameters, cost.multiply_adds) == (94, 80 + 20 + 192 + 64 + 128)
    assert [SMALL.source_channels(s) for s in ('E1', 'E2', 'D2', 'G')] == [3, 5, 4, 5]


def test_what_is_shared_is_paid_once_by_hand():
    e1, e2, e3 = (Connection(source, 'D1') for source in ('E1', 'E2', 'E3'))
    costs = PartCosts({e1: 1, e2: 2, e3: 3}, {'D1': 10}, 100, {frozenset([e2, e3]): 8})
    assert costs.total([e1]) == 111
    assert costs.total([e2]) == 120 and costs.total([e2, e3]) == 123
    assert (costs.alone(e1), costs.alone(e2)) == (1, 10)
    assert (costs.portion(e1), costs.portion(e2)) == (1, 6)
    part = costs.within([e1, e2])
    assert part.connections == {e1: 1, e2: 2} and part.shared == {frozenset([e2]): 8}
    assert part.portion(e2) == 10 and costs.within([e1]).shared == {}
