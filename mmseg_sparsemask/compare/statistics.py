"""What can be said of a few runs: shifts with intervals, rank tests, and corrections for many."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import mannwhitneyu

#: Fewer runs give no p-value, nor an interval.
MIN_RUNS = 3


@dataclass(frozen=True)
class Shift:
    """By how much the scores of one group are above those of another (Hodges and Lehmann, 1963).

    Attributes:
        estimate: Median of all pairwise differences.
        low: Lower end of the interval; None where a group has fewer than `MIN_RUNS`.
        high: Its upper end.
        confidence: That the interval has, 0 to 1: few runs have none of the one asked for.
    """

    estimate: float
    low: float | None = None
    high: float | None = None
    confidence: float | None = None


def shift(first: Sequence[float], second: Sequence[float], confidence: float = 0.95) -> Shift:
    """The shift from the second group to the first, with a distribution-free interval.

    The interval goes from the k-th smallest to the k-th largest difference, where k is as large as
    the exact distribution of the rank sum allows for the confidence, and at least 1.

    Args:
        first: Scores, at least one.
        second: Scores, at least one.
        confidence: Wanted for the interval.
    """
    differences = sorted(a - b for a, b in itertools.product(first, second))
    estimate = statistics.median(differences)
    if min(len(first), len(second)) < MIN_RUNS:
        return Shift(estimate)
    orders = math.comb(len(first) + len(second), len(first))
    counts = itertools.accumulate(_rank_sums(len(first), len(second)))
    outside = [2 * count / orders for count in counts]
    k = max(1, sum(share <= 1 - confidence for share in outside))
    return Shift(estimate, differences[k - 1], differences[-k], 1 - outside[k - 1])


def _rank_sums(first: int, second: int) -> list[int]:
    """In how many of all orders of two groups the statistic U is 0, 1, 2, ..."""
    # Coefficients of the Gaussian binomial: those of fewer runs, with the largest run in either
    # group.
    if not first or not second:
        return [1]
    total = [0] * (first * second + 1)
    for offset, ways in (
        (second, _rank_sums(first - 1, second)),
        (0, _rank_sums(first, second - 1)),
    ):
        for place, number in enumerate(ways):
            total[place + offset] += number
    return total


def rank_test(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Two-sided p-value of Mann and Whitney; None where a group has fewer than `MIN_RUNS`."""
    if min(len(first), len(second)) < MIN_RUNS:
        return None
    return float(mannwhitneyu(first, second, alternative='two-sided').pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number (Holm, 1979), in the order given."""
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected


def best_of(chosen_by: Sequence[float], scores: Sequence[float], count: int) -> float:
    """Expected score of the best of several runs, all subsets of so many being equally likely.

    Args:
        chosen_by: What the best one is chosen by, such as scores on validation images.
        scores: What it then has, such as test scores.
        count: Runs in a subset.
    """
    # Runs that are equally good have the mean of their scores.
    by_value: dict[float, list[float]] = {}
    for value, score in zip(chosen_by, scores, strict=True):
        by_value.setdefault(value, []).append(score)
    expected, worse = 0.0, len(scores)
    for value in sorted(by_value, reverse=True):
        among = math.comb(worse, count)
        worse -= len(by_value[value])
        share = (among - math.comb(worse, count)) / math.comb(len(scores), count)
        expected += share * statistics.fmean(by_value[value])
    return expected
