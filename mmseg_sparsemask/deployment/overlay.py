"""Labels drawn over an image, with a legend."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

#: Pixels: height of the letters, side of a colour's square, space around them, height of a row.
FONT, SQUARE, SPACE, ROW = 13, 12, 6, 20


def overlay(
    image: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    palette: Sequence[Colour],
    opacity: float = 0.5,
) -> np.ndarray:
    """An image under the colours of its labels, above a legend of the labels that it has.

    Args:
        image: (H, W, 3) uint8, RGB.
        labels: (H, W) integers; what is no label of `classes` (255, say) stays uncoloured.
        classes: Names by label.
        palette: RGB colours by label.
        opacity: Opacity of the colours, in [0, 1].

    Returns:
        (H', W', 3) uint8, RGB; the image is its upper left corner.

    Raises:
        ValueError: Sizes differ, there are fewer colours than classes, or a wrong opacity.
    """
    if image.shape[:2] != labels.shape:
        raise ValueError(f'image is {image.shape[:2]}, labels are {labels.shape}; expected equal')
    if len(palette) < len(classes):
        raise ValueError(f'expected a colour for each of {len(classes)} classes, got {palette}')
    if not 0 <= opacity <= 1:
        raise ValueError(f'opacity: expected a number in [0, 1], got {opacity}')
    present = [int(label) for label in np.unique(labels) if 0 <= label < len(classes)]
    blended = image.astype(np.float32)
    for label in present:
        place = labels == label
        blended[place] += opacity * (np.float32(palette[label]) - blended[place])
    blended = blended.round().astype(np.uint8)
    entries = [(classes[label], palette[label]) for label in present]
    parts = blended, legend(entries, image.shape[1])
    width = max(part.shape[1] for part in parts)
    margins = [((0, 0), (0, width - part.shape[1]), (0, 0)) for part in parts]
    return np.vstack([np.pad(p, m, constant_values=255) for p, m in zip(parts, margins)])


def legend(entries: Sequence[tuple[str, Colour]], width: int) -> np.ndarray:
    """Names beside squares of their colours, in as many columns as fit, (h, w, 3) uint8, RGB.

    Args:
        entries: Name and RGB colour.
        width: Wanted, in pixels; a single column may be wider.
    """
    font = _font()
    longest = max((font.getlength(name) for name, _ in entries), default=0)
    column = int(np.ceil(longest)) + SQUARE + 3 * SPACE
    columns = max(1, min(width // column, len(entries)))
    rows = -(-len(entries) // columns)
    picture = Image.new('RGB', (columns * column, rows * ROW + SPACE), 'white')
    draw = ImageDraw.Draw(picture)
    for place, (name, colour) in enumerate(entries):
        left = place % columns * column + SPACE
        top = place // columns * ROW + SPACE
        draw.rectangle((left, top, left + SQUARE, top + SQUARE), tuple(colour), 'black')
        middle = top + SQUARE / 2
        draw.text((left + SQUARE + SPACE, middle), name, 'black', font, anchor='lm')
    return np.asarray(picture)


def _font() -> ImageFont.FreeTypeFont:
    try:
        from matplotlib import font_manager
    except ImportError:
        return ImageFont.load_default(FONT)  # it knows fewer alphabets
    return ImageFont.truetype(font_manager.findfont('DejaVu Sans'), FONT)
