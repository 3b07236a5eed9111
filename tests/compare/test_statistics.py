"""Statistics of a few runs, against values by hand, scipy, and drawing."""

import itertools
import random
import statistics

import pytest
from scipy.stats import mannwhitneyu

from mmseg_sparsemask.compare.statistics import Shift, _rank_sums, best_of, holm, rank_test, shift


def test_shift_by_hand():
    # Differences: 3 2 1, 4 3 2, 6 5 4. Three of three have no interval at 95 %: the widest has
    # 1 - 2 / 20.
    assert shift([4.0, 5.0, 7.0], [1.0, 2.0, 3.0]) == Shift(3.0, 1.0, 6.0, pytest.approx(0.9))
    assert shift([4.0, 5.0], [1.0, 2.0, 3.0]) == Shift(2.5)
    # Three and eight: U is 0, 1, 2, 3 in 1, 1, 2, 3 of 165 orders. 2 * 4 / 165 is below 5 %,
    # 2 * 7 / 165 is not: the third smallest and the third largest difference.
    first, second = [10.0, 20.0, 30.0], [float(number) for number in range(8)]
    found = shift(first, second)
    differences = sorted(a - b for a in first for b in second)
    assert (found.low, found.high) == (differences[2], differences[-3])
    assert found.confidence == pytest.approx(1 - 8 / 165)
    assert shift(first, second, 0.9).low == differences[3]


@pytest.mark.parametrize('first, second', [(1, 1), (2, 3), (3, 3), (4, 2)])
def test_rank_sums_are_those_of_all_orders(first, second):
    counts = [0] * (first * second + 1)
    for places in itertools.combinations(range(first + second), first):
        counts[sum(places) - first * (first - 1) // 2] += 1
    assert _rank_sums(first, second) == counts


def test_an_interval_has_the_confidence_it_says():
    numbers = random.Random(0)
    inside, said = 0, 0.0
    for _ in range(2000):
        first = [numbers.gauss(1.0, 1.0) for _ in range(5)]
        found = shift(first, [numbers.gauss(0.0, 1.0) for _ in range(4)])
        inside += found.low <= 1.0 <= found.high
        said = found.confidence
    assert said >= 0.95 and inside / 2000 == pytest.approx(said, abs=0.02)


def test_rank_test_is_that_of_scipy_for_three_and_more():
    first, second = [33.0, 32.0, 34.0], [30.0, 31.0, 29.5, 30.2, 28.8, 31.4, 30.9, 29.9]
    assert rank_test(first, second) == mannwhitneyu(first, second).pvalue == pytest.approx(2 / 165)
    assert rank_test(first[:2], second) is None and rank_test(first, second[:2]) is None


def test_holm_by_hand():
    # Sorted 0.01, 0.02, 0.03, 0.5: times 4, 3, 2, 1, and never smaller than the one before.
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0] and holm([]) == []


@pytest.mark.parametrize('val', [[3, 1, 4, 2, 5], [1, 1, 2, 2, 2], [0, 0, 0, 0, 0]])
def test_best_of_is_the_mean_over_all_subsets(val):
    test = [30.0, 31.0, 36.0, 33.0, 34.0]
    for count in range(1, 6):
        expected = []
        for places in itertools.combinations(range(5), count):
            best = max(val[place] for place in places)
            tied = [test[place] for place in places if val[place] == best]
            expected.append(statistics.fmean(tied))
        assert best_of(val, test, count) == pytest.approx(statistics.fmean(expected))
