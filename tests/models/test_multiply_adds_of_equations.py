"""Multiply-adds from data alone are those of the equations as written, counted as they run."""

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reference.naive import NaiveDecoder
from reference.strategies import connectivities
from torch.utils.flop_counter import FlopCounterMode

from mmseg_sparsemask.connectivity import DecoderShape

QUICK = settings(max_examples=20, suppress_health_check=list(HealthCheck))
CHANNELS = st.lists(st.integers(1, 9), min_size=6, max_size=6)


@QUICK
@given(connectivities(), CHANNELS, st.integers(1, 8), st.integers(3, 5))
def test_multiply_adds(connectivity, in_channels, channels, classes):
    in_channels = in_channels[: connectivity.num_levels]
    size = (65, 130)
    cost = DecoderShape(connectivity.strides, in_channels, channels, classes).cost(
        connectivity, size
    )
    naive = NaiveDecoder(connectivity.stages, in_channels, channels, classes, search=False)
    naive.to('meta').eval()
    features = [
        torch.zeros(1, c, -(-size[0] // s), -(-size[1] // s), device='meta')
        for c, s in zip(in_channels, connectivity.strides)
    ]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        naive(features)
    assert counter.get_total_flops() == 2 * cost.multiply_adds
