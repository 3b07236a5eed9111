"""The matcher against exhaustive search, hand-made cases and its invariances."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmseg_sparsemask.edges.matching import match_boundaries, match_points


def exhaustive(a, b, radius):
    """Largest number of pairs, then smallest summed distance, over every injection."""
    best = (0, 0.0)
    choices = [
        [None] + [j for j in range(len(b)) if np.hypot(*(a[i] - b[j])) <= radius]
        for i in range(len(a))
    ]
    for assignment in itertools.product(*choices):
        used = [j for j in assignment if j is not None]
        if len(set(used)) < len(used):
            continue
        cost = sum(np.hypot(*(a[i] - b[j])) for i, j in enumerate(assignment) if j is not None)
        best = max(best, (len(used), -cost))
    return best[0], -best[1]


points = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=6, unique=True)


@settings(max_examples=150)
@given(points, points, st.sampled_from([0.0, 1.0, 1.5, 2.0, 3.0, 9.0]))
def test_equals_exhaustive_search(a, b, radius):
    a, b = (np.array(v, float).reshape(-1, 2) for v in (a, b))
    ia, ib = match_points(a, b, radius)
    dist = np.hypot(*(a[ia] - b[ib]).T)
    assert len(set(ia)) == len(ia) and len(set(ib)) == len(ib)
    assert (dist <= radius).all()
    count, cost = exhaustive(a, b, radius)
    assert len(ia) == count
    assert dist.sum() == pytest.approx(cost)


def test_as_many_pairs_as_possible_before_short_distances():
    """0 -> 4 and -4 -> 0 rather than the one pair of distance 0."""
    a, b = np.array([[0.0, 0], [0, -4]]), np.array([[0.0, 4], [0, 0]])
    ia, ib = match_points(a, b, 4.3)
    assert sorted(zip(ia, ib)) == [(0, 0), (1, 1)]


def test_star_takes_the_nearest():
    ia, ib = match_points(np.array([[0.0, 0]]), np.array([[2.0, 0], [0, 1], [9, 9]]), 3)
    assert (ia.tolist(), ib.tolist()) == ([0], [1])
    ia, ib = match_points(np.array([[2.0, 0], [0, 1], [9, 9]]), np.array([[0.0, 0]]), 3)
    assert (ia.tolist(), ib.tolist()) == ([1], [0])


@settings(max_examples=40)
@given(st.integers(0, 10**6))
def test_larger_random_maps_agree_with_one_dense_problem(seed):
    """The sparse problem in whole numbers against the dense one in SciPy's other solver."""
    from scipy.optimize import linear_sum_assignment

    rng = np.random.default_rng(seed)
    a, b = (np.argwhere(rng.random((14, 14)) < 0.25).astype(float) for _ in range(2))
    if len(a) == 0 or len(b) == 0:
        return
    radius = rng.choice([1.0, 1.5, 2.3])
    dist = np.hypot(*(a[:, None] - b[None]).transpose(2, 0, 1))
    cost = np.where(dist <= radius, dist, 1e6)
    rows, cols = linear_sum_assignment(cost)
    valid = cost[rows, cols] < 1e6
    ia, ib = match_points(a, b, radius)
    assert len(ia) == valid.sum()
    assert np.hypot(*(a[ia] - b[ib]).T).sum() == pytest.approx(cost[rows, cols][valid].sum())


def _fields(kind, size=40):
    """Two maps full of ties, the number of their pairs and the distance of each."""
    full = np.ones((size, size), bool)
    rows, even = full.copy(), np.indices(full.shape).sum(0) % 2 == 0
    rows[::2] = False
    return {
        'full': (full, full, size**2, 0),
        'rows': (full, rows, size**2 // 2, 0),
        'checkerboard': (even, ~even, size**2 // 2, 1),
    }[kind]


@pytest.mark.parametrize('kind', ['full', 'rows', 'checkerboard'])
def test_fields_of_ties_end_and_are_exact(kind):
    a, b, count, distance = _fields(kind)
    a, b = np.argwhere(a), np.argwhere(b)
    for one, other in ((a, b), (b, a)):
        i, j = match_points(one, other, 4.34)
        assert len(set(i)) == len(set(j)) == count
        assert (np.hypot(*(one[i] - other[j]).T) == distance).all()


def _line(column, shape=(30, 40)):
    out = np.zeros(shape, bool)
    out[:, column] = True
    return out


@pytest.mark.parametrize('shift, matched', [(0, 30), (2, 30), (3, 0)])
def test_shifted_line(shift, matched):
    """A 30 x 40 image has a diagonal of 50: 0.05 of it is 2.5 pixels."""
    pred, target = match_boundaries(_line(20 + shift), _line(20), max_dist=0.05)
    assert pred.sum() == target.sum() == matched


def test_radius_is_inclusive():
    pred, _ = match_boundaries(_line(22), _line(20), max_dist=2 / 50)
    assert pred.sum() == 30


def test_each_pixel_matches_once():
    pred = _line(19) | _line(20) | _line(21)
    matched_pred, matched_target = match_boundaries(pred, _line(20), max_dist=0.05)
    assert matched_pred.sum() == matched_target.sum() == 30
    assert matched_pred[:, 20].all()


@pytest.mark.parametrize('transform', [np.fliplr, np.flipud, np.transpose])
def test_count_depends_neither_on_the_pose_nor_on_the_roles(transform):
    rng = np.random.default_rng(4)
    a, b = (rng.random((40, 30)) < 0.2 for _ in range(2))
    want = match_boundaries(a, b, 0.05)[0].sum()
    assert match_boundaries(transform(a), transform(b), 0.05)[0].sum() == want
    assert match_boundaries(b, a, 0.05)[1].sum() == want


def test_empty_maps():
    none = np.zeros((30, 40), bool)
    for a, b in ((none, _line(3)), (_line(3), none), (none, none)):
        pred, target = match_boundaries(a, b)
        assert not pred.any() and not target.any()


def test_wrong_inputs():
    with pytest.raises(ValueError, match=r'\(30, 40\).*\(40, 30\).*resize'):
        match_boundaries(_line(3), _line(3).T)
    with pytest.raises(ValueError, match='radius'):
        match_points(np.zeros((1, 2)), np.zeros((1, 2)), -1.0)
