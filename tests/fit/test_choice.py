"""Which network is handed over, and what is said of it."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from mmseg_sparsemask.fit.choice import Network, choose
from mmseg_sparsemask.fit.networks import Limits


def network(title, score, ms, parameters=1000):
    row = SimpleNamespace(method=title, encoder_parameters=parameters, decoder_parameters=0)
    return Network(title, Path(), Path(), row, score, ms, [score])


FCN, UNET, SEARCHED = (
    network('FCN', 40.0, 8.0, 900),
    network('U-Net', 50.0, 20.0, 1200),
    network('searched', 49.5, 15.0, 1100),
)
ALL = [FCN, UNET, SEARCHED]


@pytest.mark.parametrize(
    'limits, title, words',
    [
        (Limits(), 'U-Net', ['mIoU 50.0 at 20.0 ms', 'searched is within a point of it']),
        (Limits(milliseconds=16), 'searched', ['the best within 16 ms', 'without a limit U-Net']),
        (Limits(milliseconds=10), 'FCN', ['FCN: mIoU 40.0']),
        (Limits(parameters=1150), 'searched', ['1,150 parameters']),
        (Limits(16, 1000), 'FCN', ['16 ms and 1,000 parameters']),
        (Limits(milliseconds=5), 'FCN', ['No network is within 5 ms', '8.0 ms']),
        (Limits(parameters=5), 'FCN', ['No network is within 5 parameters', '900 parameters']),
    ],
)
def test_the_best_within_the_limits(limits, title, words):
    chosen, why = choose(ALL, limits)
    assert chosen.title == title
    assert all(word in why for word in words), why


def test_a_baseline_that_wins_is_chosen():
    chosen, why = choose([network('FCN', 50.0, 5.0), UNET, SEARCHED], Limits())
    assert chosen.title == 'FCN' and 'next U-Net' in why  # of equal scores the faster one
