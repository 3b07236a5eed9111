"""Scenes drawn from a random generator: the images behind the embedded data sets.

Everything here is NumPy on integers: the same generator state gives the same bytes on every
platform, with no file, no image library and no rounding that a compiler could change.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

#: Classes of :func:`draw_scene`; the label of a pixel is the place of its class in this tuple.
CLASSES = ('background', 'horizontal', 'vertical', 'checker', 'speckle', 'warm', 'cold', 'marker')

#: One RGB colour per class for drawing label maps.
PALETTE = (
    (60, 60, 60),
    (230, 25, 75),
    (60, 180, 75),
    (255, 225, 25),
    (0, 130, 200),
    (245, 130, 48),
    (70, 240, 240),
    (240, 50, 230),
)

#: Side in pixels of one cell of a texture; stripes have a period of two cells.
CELL = 2

#: Smallest height and width that leaves room for the shapes.
MIN_SIZE = 32

_TEXTURES = CLASSES[1:5]
# BGR, as OpenCV and the toolbox's loaders have it.
_MARKER_COLOURS = {'warm': (40, 80, 230), 'cold': (230, 120, 30)}


class Scene(NamedTuple):
    """One drawn image with its ground truth; the arrays may be read-only.

    Attributes:
        image: (H, W, 3) uint8, BGR.
        labels: (H, W) uint8, an index into :data:`CLASSES` for every pixel.
        instances: (H, W) uint8; 0 is background, the k-th shape painted has the value k. A later
            shape covers an earlier one, so a value can be missing.
        context: ``'warm'`` or ``'cold'``, the colour of the marker, which decides the class of
            every plain shape.
    """

    image: np.ndarray
    labels: np.ndarray
    instances: np.ndarray
    context: str


def draw_scene(rng: np.random.Generator, size: tuple[int, int] = (64, 64)) -> Scene:
    """Draw one scene.

    On a textured background lie shapes (ellipses, rectangles, triangles, diamonds) of random
    colour; form and colour say nothing about the class. What does:

    * ``horizontal``, ``vertical``, ``checker``, ``speckle`` differ only in fine texture. All four
      are a mean colour plus or minus one amplitude on cells of two pixels: rows, columns, a
      checkerboard, or random signs. Features of stride 8 or more see little of it.
    * ``warm`` and ``cold`` differ only in context. Both are plain shapes; which of the two they are
      depends on the colour, orange or blue, of the single ``marker`` somewhere else in the image.

    Args:
        rng: The only source of randomness.
        size: Height and width in pixels, each at least :data:`MIN_SIZE`. Shapes grow with the
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
    ground = rng.integers(60, 196, size=3)
    image = _background(rng, height, width, ground)
    labels = np.zeros((height, width), np.uint8)
    instances = np.zeros((height, width), np.uint8)
    context = ('warm', 'cold')[int(rng.integers(2))]

    wanted = [_TEXTURES[int(rng.integers(4))] for _ in range(int(rng.integers(2, 5)))]
    wanted += [context] * int(rng.integers(1, 4))
    rng.shuffle(wanted)
    # The marker comes last: nothing covers it.
    wanted.append('marker')

    unit = min(height, width)
    for number, name in enumerate(wanted, start=1):
        low, high = (unit // 12, unit // 9) if name == 'marker' else (unit // 8, unit // 4)
        mask = _shape(rng, height, width, low, high)
        if name == 'marker':
            image[mask] = _MARKER_COLOURS[context]
        else:
            colour = _colour_unlike(rng, ground)
            if name in _TEXTURES:
                amplitude = int(rng.integers(28, 45))
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
    grid = rng.integers(-24, 25, size=(height // step + 2, width // step + 2))
    rows, row = np.divmod(np.arange(height), step)
    columns, column = np.divmod(np.arange(width), step)
    row = row[:, None]
    upper = grid[rows] * (step - row) + grid[rows + 1] * row
    cloud = upper[:, columns] * (step - column) + upper[:, columns + 1] * column
    grain = rng.integers(-12, 13, size=(height, width))
    return ground + (cloud // step**2 + grain)[..., None]


def _colour_unlike(rng: np.random.Generator, ground: np.ndarray) -> np.ndarray:
    """A colour away from the ends of the range and from the background's."""
    while True:
        colour = rng.integers(60, 196, size=3)
        if int(np.abs(colour - ground).sum()) >= 90:
            return colour


def _texture(rng: np.random.Generator, name: str, height: int, width: int) -> np.ndarray:
    """Signs +1 and -1 on cells of :data:`CELL` pixels, (H, W) int64, with a random phase."""
    shift_y, shift_x = (int(v) for v in rng.integers(0, 2 * CELL, size=2))
    rows = (np.arange(height) + shift_y) // CELL
    columns = (np.arange(width) + shift_x) // CELL
    if name == 'horizontal':
        bits = np.broadcast_to(rows[:, None] % 2, (height, width))
    elif name == 'vertical':
        bits = np.broadcast_to(columns % 2, (height, width))
    elif name == 'checker':
        bits = (rows[:, None] + columns) % 2
    else:
        cells = rng.integers(0, 2, size=(int(rows[-1]) + 1, int(columns[-1]) + 1))
        bits = cells[rows[:, None], columns]
    return 2 * bits - 1


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
