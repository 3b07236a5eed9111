"""One-to-one matching of predicted to annotated boundary pixels (Martin, Fowlkes, Malik 2004).

Pixels closer than a tolerance may be matched, each at most once. Among the matchings with as many
pairs as possible one of smallest summed distance is taken. It is found by the sparse variant of
the algorithm of Jonker and Volgenant ("A shortest augmenting path algorithm for dense and sparse
linear assignment problems", Computing 1987) in `scipy.sparse.csgraph`.
"""

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from scipy.spatial import cKDTree

STEPS = 2**18
"""Whole numbers that stand for the distances from 0 to the radius."""


def match_points(a: np.ndarray, b: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Maximum one-to-one matching of two point sets with smallest summed distance.

    Distances are compared after rounding to 2^-18 of the radius.

    Args:
        a: Coordinates, (N, D).
        b: Coordinates, (M, D).
        radius: Largest distance of a pair, inclusive, in the unit of the coordinates.

    Returns:
        Indices into a and into b of the matched pairs, both (K,), K <= min(N, M).

    Raises:
        ValueError: On a radius that is negative or not finite.
    """
    if not np.isfinite(radius) or radius < 0:
        raise ValueError(f'radius must be finite and not negative, got {radius}')
    none = np.zeros(0, dtype=np.intp)
    if len(a) == 0 or len(b) == 0:
        return none, none
    # Each row searches for a partner until all in its reach are tried: fewer rows, fewer searches.
    if len(a) > len(b):
        pick_b, pick_a = match_points(b, a, radius)
        return pick_a, pick_b
    pairs = cKDTree(a).sparse_distance_matrix(cKDTree(b), radius, output_type='ndarray')
    if len(pairs) == 0:
        return none, none
    at_a, rows = np.unique(pairs['i'], return_inverse=True)
    at_b, cols = np.unique(pairs['j'], return_inverse=True)
    # Whole numbers: the solver's prices stay exact, so that no rounding error can keep two rows
    # outbidding each other. From 1, as SciPy takes a stored 0 for no edge.
    step = radius / STEPS if radius > 0 else 1.0
    cost = np.rint(pairs['v'] / step) + 1
    # The solver wants a partner for every row. One of its own, which costs more than all pairs
    # together could save, stands for none.
    none_cost = (len(at_a) + 1.0) * (STEPS + 2)
    every = np.arange(len(at_a))
    graph = csr_array(
        (
            np.concatenate([cost, np.full(len(every), none_cost)]),
            (np.concatenate([rows, every]), np.concatenate([cols, len(at_b) + every])),
        ),
        shape=(len(at_a), len(at_b) + len(at_a)),
    )
    rows, cols = min_weight_full_bipartite_matching(graph)
    matched = cols < len(at_b)
    return at_a[rows[matched]].astype(np.intp), at_b[cols[matched]].astype(np.intp)


def match_boundaries(
    pred: np.ndarray, target: np.ndarray, max_dist: float = 0.0075
) -> tuple[np.ndarray, np.ndarray]:
    """Match two boundary maps pixel by pixel.

    Args:
        pred: Predicted boundary pixels, (H, W), nonzero = boundary.
        target: Annotated boundary pixels, (H, W).
        max_dist: Tolerance as a share of the image diagonal sqrt(H^2 + W^2); 0.0075 is the
            benchmark's, 4.3 pixels for 481 x 321.

    Returns:
        Which pixels of pred, and which of target, have a partner: two (H, W) boolean arrays with
        the same number of true pixels.

    Raises:
        ValueError: If the maps differ in size or are not two-dimensional.
    """
    pred, target = np.asarray(pred) != 0, np.asarray(target) != 0
    if pred.ndim != 2 or pred.shape != target.shape:
        raise ValueError(
            'prediction and annotation must be (H, W) maps of one size, got '
            f'{pred.shape} and {target.shape}; resize the prediction to the image first'
        )
    at_pred, at_target = np.argwhere(pred), np.argwhere(target)
    pick_pred, pick_target = match_points(
        at_pred, at_target, max_dist * float(np.hypot(*pred.shape))
    )
    matched_pred, matched_target = np.zeros_like(pred), np.zeros_like(target)
    matched_pred[tuple(at_pred[pick_pred].T)] = True
    matched_target[tuple(at_target[pick_target].T)] = True
    return matched_pred, matched_target
