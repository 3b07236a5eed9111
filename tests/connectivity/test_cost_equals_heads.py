"""What cost.py counts is what the heads hold, for random connectivities."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reference.strategies import connectivities, stride_lists

from mmseg_sparsemask.connectivity import DecoderShape, preset

torch = pytest.importorskip('torch')
from mmseg_sparsemask.models.decode_heads import FDNHead, SparseMaskHead  # noqa: E402

FEW = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def count(module):
    return sum(p.numel() for p in module.parameters())


@st.composite
def sizes(draw, num_levels):
    """Channels of the encoder and of the stages, number of classes."""
    small = st.integers(1, 9)
    in_channels = draw(st.lists(small, min_size=num_levels, max_size=num_levels))
    return in_channels, draw(small), draw(st.integers(2, 5))


@FEW
@given(st.data())
def test_pruned_decoder(data):
    connectivity = data.draw(connectivities())
    in_channels, channels, classes = data.draw(sizes(connectivity.num_levels))
    head = SparseMaskHead(
        connectivity,
        in_channels,
        range(connectivity.num_levels),
        channels=channels,
        num_classes=classes,
    )
    shape = DecoderShape(connectivity.strides, in_channels, channels, classes)
    assert head.shape == shape
    cost = shape.cost(connectivity)
    assert cost.parameters == count(head)
    by_stage = {
        stage: count(head.convs[stage]) + count(head.norms[stage]) for stage in connectivity.stages
    }
    assert dict(cost.stage_parameters) == {**by_stage, 'classifier': count(head.conv_seg)}


@FEW
@given(st.data())
def test_supernet(data):
    """Of any search space."""
    strides = data.draw(stride_lists(max_levels=5))
    space = data.draw(st.one_of(st.just(None), connectivities(strides=strides)))
    space = space or preset('fdn', strides)
    in_channels, channels, classes = data.draw(sizes(len(strides)))
    head = FDNHead(
        in_channels,
        range(len(strides)),
        strides,
        connectivity=space,
        channels=channels,
        num_classes=classes,
    )
    weights = count(head.connections)
    assert weights == len(space)
    assert head.shape.cost(space).parameters == count(head) - weights


@pytest.mark.parametrize(
    ('name', 'parameters'),
    [
        ('fdn', 1_934_293),
        ('unet', 164_821),
        ('sparse_acn', 721_877),
        ('sparsemask_mbv2_voc', 560_981),
    ],
)
def test_the_papers_decoders_as_built(name, parameters):
    strides = (2, 2, 4, 8, 16, 16, 32, 32, 32)
    in_channels = (32, 16, 24, 32, 64, 96, 160, 320, 1280)
    with torch.device('meta'):
        head = SparseMaskHead(name, in_channels, range(9), strides, channels=64, num_classes=21)
    assert count(head) == parameters
