"""Rank agreement of scores and trained scores, with an interval."""

import runpy

from reference import tiny


def test_rank_agreement():
    agreement = runpy.run_path(str(tiny.ROOT / 'benchmarks/front_ranks.py'))['agreement']
    assert 'too few' in agreement([(1.0, 2.0), (2.0, 1.0)])
    # Pairs in one order and in the other; draws of a single pair have no order and do not count.
    pairs = [(float(place), float(place**2)) for place in range(5)]
    assert agreement(pairs, 50).startswith('Spearman 1.00 (1.00 to 1.00,')
    assert agreement([(-x, y) for x, y in pairs], 50).startswith('Spearman -1.00 (-1.00 to -1.00,')
