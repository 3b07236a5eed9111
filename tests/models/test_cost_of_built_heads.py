"""Counts from data alone equal those of the built heads, for random decoders."""

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmseg.registry import MODELS
from reference.strategies import connectivities, stride_lists

import mmseg_sparsemask  # noqa: F401
from mmseg_sparsemask.compare.collect import count_multiply_adds
from mmseg_sparsemask.connectivity import decoder_cost, preset, supernet_parameters

QUICK = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
CHANNELS = st.lists(st.integers(1, 9), min_size=6, max_size=6)


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


@QUICK
@given(connectivities(), CHANNELS, st.integers(1, 8), st.integers(3, 5))
def test_pruned_decoder(connectivity, in_channels, channels, classes):
    in_channels = in_channels[: connectivity.num_levels]
    head = MODELS.build(
        dict(
            type='SparseMaskHead',
            connectivity=connectivity,
            in_channels=in_channels,
            in_index=list(range(len(in_channels))),
            channels=channels,
            num_classes=classes,
        )
    ).to('meta')
    head.eval()
    size = (65, 130)
    cost = decoder_cost(connectivity, in_channels, channels, classes, size)
    assert parameters(head) == cost.parameters
    features = [
        torch.zeros(1, c, -(-size[0] // s), -(-size[1] // s), device='meta')
        for c, s in zip(in_channels, connectivity.strides)
    ]
    with torch.no_grad():
        counted, _ = count_multiply_adds(head, features)
    assert counted == cost.multiply_adds


@QUICK
@given(stride_lists(), CHANNELS, st.integers(1, 8))
def test_supernet(strides, in_channels, channels):
    in_channels = in_channels[: len(strides)]
    head = MODELS.build(
        dict(
            type='FDNHead',
            strides=strides,
            in_channels=in_channels,
            in_index=list(range(len(in_channels))),
            channels=channels,
            num_classes=3,
        )
    )
    full = preset('fdn', strides)
    expected = supernet_parameters(full, in_channels, channels, 3)
    assert parameters(head) - parameters(head.connections) == expected
    assert parameters(head.connections) == len(full)
