"""Non-maximum suppression of soft boundary maps, as the boundary detection field does it.

The steps are those of OpenCV's ``ximgproc.StructuredEdgeDetection.computeOrientation`` and
``edgesNms`` (Apache-2.0), which serve as the oracle of the tests: smooth the map with a triangle
filter, read the direction across the boundary from its second derivatives, and delete each pixel
that is weaker than the map a little further along that direction.
"""

import cv2
import numpy as np


def _check_map(edges: np.ndarray) -> np.ndarray:
    edges = np.asarray(edges)
    if edges.ndim != 2 or edges.size == 0:
        raise ValueError(f'edges must be a non-empty (H, W) array, got shape {edges.shape}')
    if not np.isfinite(edges).all():
        raise ValueError('edges must be finite, got NaN or infinity; check the model output')
    return np.ascontiguousarray(edges, dtype=np.float32)


def _triangle_smooth(edges: np.ndarray, radius: int) -> np.ndarray:
    """Convolve with the separable triangle of the given radius, borders reflected."""
    rising = np.arange(1, radius + 1, dtype=np.float32)
    kernel = np.concatenate([rising, [radius + 1], rising[::-1]]) / np.float32((radius + 1) ** 2)
    return cv2.sepFilter2D(edges, -1, kernel.astype(np.float32), kernel.astype(np.float32))


def edge_orientation(edges: np.ndarray) -> np.ndarray:
    """Direction across the boundary at each pixel.

    The map is smoothed by a triangle filter of radius 4 first. On a ridge with normal angle ``t``
    the second derivatives are ``Exx = c cos^2 t``, ``Exy = c sin t cos t`` and ``Eyy = c sin^2 t``
    with c < 0. The field takes ``atan(sign(-Exy) Eyy / Exx)``, that is the arc tangent of the
    signed *square* of ``tan t``: exact at multiples of 45 degrees, up to about 10 degrees off
    between. It is kept because published numbers rest on it.

    Args:
        edges: Boundary strength, (H, W).

    Returns:
        Angles in [0, pi], (H, W) float32, measured from the x axis (columns) towards the y axis
        (rows).

    Raises:
        ValueError: On an array that is not a finite (H, W) map.
    """
    smooth = _triangle_smooth(_check_map(edges), radius=4)
    exx = cv2.Sobel(smooth, -1, 2, 0)
    exy = cv2.Sobel(smooth, -1, 1, 1)
    eyy = cv2.Sobel(smooth, -1, 0, 2)
    # Where Exy is exactly 0 (a drawn horizontal line) the sign must not erase the quotient;
    # OpenCV's does, and leaves such lines thick.
    sign = np.where(exy > 0, -1.0, 1.0)
    angle = np.arctan(sign * eyy / (exx.astype(np.float64) + 1e-5))
    return np.where(angle > 0, angle, angle + np.pi).astype(np.float32)


def suppress_non_maxima(
    edges: np.ndarray,
    orientation: np.ndarray,
    radius: int = 1,
    border: int = 5,
    multiplier: float = 1.01,
) -> np.ndarray:
    """Keep the pixels that no neighbour across the boundary exceeds.

    A pixel of strength e survives if ``multiplier * e`` is at least the bilinearly interpolated
    strength at each of the distances 1..radius on either side. Strength within ``border`` pixels of
    the image's border then fades linearly to zero, where networks and filters answer to the
    padding rather than to the picture.

    Args:
        edges: Boundary strength, (H, W), 0 = no boundary.
        orientation: Angle across the boundary, (H, W), as `edge_orientation` gives it.
        radius: How far to look, in pixels.
        border: Width of the faded frame in pixels; 0 for none.
        multiplier: Above 1 keeps near-ties, so that plateaus do not break boundaries.

    Returns:
        The thinned strength, (H, W) float32.

    Raises:
        ValueError: On arrays that are not finite (H, W) maps of one size, or negative settings.
    """
    edges, orientation = _check_map(edges), _check_map(orientation)
    if edges.shape != orientation.shape:
        raise ValueError(
            f'edges {edges.shape} and orientation {orientation.shape} must have one size'
        )
    if radius < 1 or border < 0 or multiplier <= 0:
        raise ValueError(
            'expected radius >= 1, border >= 0, multiplier > 0, got '
            f'radius={radius}, border={border}, multiplier={multiplier}'
        )
    height, width = edges.shape
    if min(height, width) < 2:
        raise ValueError(f'edges must be at least 2 x 2 pixels, got {height} x {width}')
    rows, cols = np.nonzero(edges)
    strength = edges[rows, cols]
    cos, sin = np.cos(orientation[rows, cols]), np.sin(orientation[rows, cols])
    keep = np.ones(len(rows), dtype=bool)
    for step in (d for d in range(-radius, radius + 1) if d != 0):
        # Clamping just inside the last pixel lets x0 + 1 exist for the interpolation.
        x = np.clip(cols + np.float32(step) * cos, 0, np.float32(width - 1.001))
        y = np.clip(rows + np.float32(step) * sin, 0, np.float32(height - 1.001))
        x0, y0 = x.astype(np.intp), y.astype(np.intp)
        fx, fy = (x - x0).astype(np.float32), (y - y0).astype(np.float32)
        beside = (
            edges[y0, x0] * (1 - fx) * (1 - fy)
            + edges[y0, x0 + 1] * fx * (1 - fy)
            + edges[y0 + 1, x0] * (1 - fx) * fy
            + edges[y0 + 1, x0 + 1] * fx * fy
        )
        keep &= strength * np.float32(multiplier) >= beside
    thinned = np.zeros_like(edges)
    thinned[rows[keep], cols[keep]] = strength[keep]
    for size, axis in ((height, 0), (width, 1)):
        fade = min(border, size // 2, (width if axis == 0 else height) // 2)
        if fade:
            ramp = np.ones(size, dtype=np.float32)
            ramp[:fade] = np.arange(fade, dtype=np.float32) / fade
            ramp[size - fade :] = ramp[:fade][::-1]
            thinned *= ramp[:, None] if axis == 0 else ramp[None, :]
    return thinned


def edge_nms(
    edges: np.ndarray, map_smooth_radius: int = 1, radius: int = 1, border: int = 5
) -> np.ndarray:
    """`edge_orientation` and `suppress_non_maxima` with the field's usual settings.

    The map itself is smoothed before, as by the evaluation that comes with HED and its successors
    (``convTri(E, 1)``): a network's map has plateaus and noise of a pixel's width, which would
    leave double lines and gaps.

    Args:
        edges: Boundary strength in [0, 1], (H, W).
        map_smooth_radius: Radius of the triangle filter applied to the map, in pixels; 0 for none.
        radius: See `suppress_non_maxima`.
        border: See `suppress_non_maxima`.

    Returns:
        The thinned map, (H, W) float32.

    Raises:
        ValueError: As `edge_orientation` and `suppress_non_maxima`, and on a negative radius.
    """
    if map_smooth_radius < 0:
        raise ValueError(f'map_smooth_radius must be at least 0 pixels, got {map_smooth_radius}')
    edges = _check_map(edges)
    if map_smooth_radius:
        edges = _triangle_smooth(edges, map_smooth_radius)
    return suppress_non_maxima(edges, edge_orientation(edges), radius, border)
