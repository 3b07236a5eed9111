"""Which points of a front are trained further."""

from math import inf
from types import SimpleNamespace

import pytest

from mmseg_sparsemask.fit.networks import Limits, picked

#: Parameters, multiply-adds and loss of points, the cheapest first.
POINTS = [
    SimpleNamespace(folder=name, parameters=parameters, multiply_adds=work, loss=loss)
    for name, parameters, work, loss in [
        ('a', 10, 100, 0.9),
        ('b', 20, 250, 0.6),
        ('c', 30, 450, 0.4),
        ('d', 40, 900, 0.3),
    ]
]
TIMES = {'a': 5.0, 'b': 6.0, 'c': 7.0, 'd': 9.0}


@pytest.mark.parametrize(
    'limits, names',
    [
        (Limits(), ['d', 'c']),
        (Limits(milliseconds=8.0), ['c', 'a']),
        (Limits(milliseconds=5.5), ['a']),
        (Limits(milliseconds=1.0), ['a']),  # none: the cheapest, to be compared all the same
        (Limits(parameters=1025), ['b', 'a']),  # of the whole network
        (Limits(6.5, 1035), ['b', 'a']),
    ],
)
def test_the_best_and_the_best_at_half_of_its_cost(limits, names):
    times = TIMES if limits.milliseconds < inf else {}
    assert [point.folder for point in picked(POINTS, limits, times, 1000)] == names
