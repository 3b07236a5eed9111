"""Scenes drawn from a random generator: the images behind the embedded data sets.

Everything here is NumPy on integers: the same generator state gives the same bytes on every
platform, with no file, no image library and no rounding that a compiler could change.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

#: Classes of `draw_scene`; the label of a pixel is the place of its class in this tuple.
CLASSES = ('background', 'horizontal', 'vertical', 'checker', 'warm', 'cold')

#: One RGB colour per class for drawing label maps.
PALETTE = (
    *((60, 60, 60), (230, 25, 75), (60, 180, 75)),
    *((255, 225, 25), (245, 130, 48), (70, 240, 240)),
)

#: Side in pixels of one cell of a texture; stripes have a period of two cells.
CELL = 2

#: How far the ground's red and blue lie from its base colour: up and down when warm, the other way
#: round when cold.
TINT = 40

#: Smallest height and width that leaves room for the shapes.
MIN_SIZE = 32

_TEXTURES = CLASSES[1:4]


class Scene(NamedTuple):
    """One drawn image with its ground truth; the arrays may be read-only.

    Attributes:
        image: (H, W, 3) uint8, BGR.
        labels: (H, W) uint8, an index into `CLASSES` for every pixel.
        instances: (H, W) uint8; 0 is background, the k-th shape painted has the value k. A later
            shape covers an earlier one, so a value can be missing.
        context: ``'warm'`` or ``'cold'``, the tint of the ground, which decides the class of every
            plain shape.
    """

    image: np.ndarray
    labels: np.ndarray
    instances: np.ndarray
    context: str


def draw_scene(rng: np.random.Generator, size: tuple[int, int] = (64, 64)) -> Scene:
    """Draw one scene.

    On a cloudy ground of reddish or bluish tint lie two to four large shapes (ellipses, rectangles,
    triangles, diamonds) of random colour; form and colour say nothing about the class. What does:

    * ``horizontal``, ``vertical``, ``checker`` differ only in fine texture. All three are a mean
      colour plus or minus one amplitude on cells of two pixels: rows, columns, or a checkerboard.
      Features of stride 8 or more see little of it.
    * ``warm`` and ``cold`` differ only in context. Both are plain shapes; which of the two they are
      depends on the tint of the ground around them.

    Args:
        rng: The only source of randomness.
        size: Height and width in pixels, each at least `MIN_SIZE`. Shapes grow with the
            smaller one, textures do not.

    Returns:
        The scene.

    Raises:
        ValueError: When ``size`` is too small.
    """
    height, width = size
    if min(height, width) < MIN_SIZE:
        raise ValueError(
            f'a scene needs a height and a width of at least {MIN_SIZE} pixels, '
            f'got {height}x{width}; choose a larger size'
        )
    context = ('warm', 'cold')[int(rng.integers(2))]
    # BGR, as OpenCV and the toolbox's loaders have it.
    tint = np.array([-TINT, 0, TINT] if context == 'warm' else [TINT, 0, -TINT])
    base = rng.integers(100, 156, size=3)
    image = _background(rng, height, width, base + tint)
    labels = np.zeros((height, width), np.uint8)
    instances = np.zeros((height, width), np.uint8)

    wanted = [_TEXTURES[int(rng.integers(3))] for _ in range(int(rng.integers(1, 3)))]
    wanted += [context] * int(rng.integers(1, 3))
    rng.shuffle(wanted)

    unit = min(height, width)
    for number, name in enumerate(wanted, start=1):
        mask = _shape(rng, height, width, unit // 6, unit // 3)
        # Unlike the ground of either tint: else the shapes' own colours would give the tint away.
        colour = _colour_unlike(rng, base + tint, base - tint)
        if name in _TEXTURES:
            amplitude = int(rng.integers(40, 61))
            signs = _texture(rng, name, height, width)
            image[mask] = colour + amplitude * signs[mask][:, None]
        else:
            image[mask] = colour
        labels[mask] = CLASSES.index(name)
        instances[mask] = number

    # A little sensor noise on top, of the same strength for every class.
    image += rng.integers(-6, 7, size=image.shape)
    return Scene(np.clip(image, 0, 255).astype(np.uint8), labels, instances, context)


def _background(
    rng: np.random.Generator, height: int, width: int, ground: np.ndarray
) -> np.ndarray:
    """Smooth cloud on cells of 16 pixels plus grain, (H, W, 3) int64."""
    step = 16
    grid = rng.integers(-16, 17, size=(height // step + 2, width // step + 2))
    rows, row = np.divmod(np.arange(height), step)
    columns, column = np.divmod(np.arange(width), step)
    row = row[:, None]
    upper = grid[rows] * (step - row) + grid[rows + 1] * row
    cloud = upper[:, columns] * (step - column) + upper[:, columns + 1] * column
    grain = rng.integers(-8, 9, size=(height, width))
    return ground + (cloud // step**2 + grain)[..., None]


def _colour_unlike(rng: np.random.Generator, *others: np.ndarray) -> np.ndarray:
    """A colour away from the ends of the range and from all the others."""
    while True:
        colour = rng.integers(60, 196, size=3)
        if all(int(np.abs(colour - other).sum()) >= 90 for other in others):
            return colour


def _texture(rng: np.random.Generator, name: str, height: int, width: int) -> np.ndarray:
    """Signs +1 and -1 on cells of `CELL` pixels, (H, W) int64, with a random phase."""
    shift_y, shift_x = (int(v) for v in rng.integers(0, 2 * CELL, size=2))
    rows = ((np.arange(height) + shift_y) // CELL)[:, None]
    columns = (np.arange(width) + shift_x) // CELL
    cells = {'horizontal': rows + 0 * columns, 'vertical': 0 * rows + columns}
    return 1 - 2 * (cells.get(name, rows + columns) % 2)


def _shape(rng: np.random.Generator, height: int, width: int, low: int, high: int) -> np.ndarray:
    """A boolean (H, W) mask of one shape; half its height and width lie in [low, high]."""
    half_h, half_w = (int(v) for v in rng.integers(low, high + 1, size=2))
    y = np.arange(height)[:, None] - int(rng.integers(half_h, height - half_h))
    x = np.arange(width) - int(rng.integers(half_w, width - half_w))
    kind = int(rng.integers(4))
    if kind == 0:
        return (y * half_w) ** 2 + (x * half_h) ** 2 <= (half_h * half_w) ** 2
    if kind == 1:
        return (np.abs(y) <= half_h) & (np.abs(x) <= half_w)
    if kind == 2:
        return np.abs(y) * half_w + np.abs(x) * half_h <= half_h * half_w
    # A triangle standing on its base: the free width shrinks to zero at the top.
    return (np.abs(y) <= half_h) & (2 * half_h * np.abs(x) <= half_w * (y + half_h))
