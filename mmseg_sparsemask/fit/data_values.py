"""What the values of masks mean: numbers or colours, and the classes that they stand for.

A value is one integer: a number is itself, a colour is negative, see `colour_value`.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmseg_sparsemask.datasets.palette import voc_palette
from mmseg_sparsemask.datasets.reading import open_image, read_lines
from mmseg_sparsemask.utils.words import listed

VOID = 255
#: Masks with more numbers than these are rather pictures, unless somebody names the classes.
MAX_UNNAMED = 64

_BINARY = ('background', 'foreground')
_VOID_NAMES = ('void', 'ignore')
_NAME = r'(?P<name>.*?[^\s,;:=])'
_RGB = r'(?P<red>\d{1,3})[\s,;]+(?P<green>\d{1,3})[\s,;]+(?P<blue>\d{1,3})'
# Name and colour, also as CVAT writes them; colour and name, as CamVid has them; name and number.
_LINES = (
    rf'{_NAME}[\s,;:=]+{_RGB}[\s,;:]*',
    rf'{_RGB}[\s,;:]+{_NAME}',
    rf'{_NAME}\s*[,;:=\t]\s*(?P<number>\d+)',
    _NAME,
)
_BY_COLOUR = '--classes FILE with a line "NAME R,G,B" for each, and "void" to ignore all others'
_BY_NUMBER = '--classes FILE with a line "NAME,NUMBER" for each, and "void" to ignore all others'


class Line(NamedTuple):
    """A class as a user names it, with the value that stands for it, if that is said."""

    name: str
    value: int | None = None

    @property
    def is_void(self) -> bool:
        """Whether pixels of it are ignored."""
        return self.name.lower() in _VOID_NAMES


class Mask(NamedTuple):
    """What a mask holds.

    Attributes:
        path: Its file.
        size: Height and width.
        mode: How it holds its values, as Pillow names it.
        pixels: Number of pixels of each value.
        colours: Colours of numbers that the file has.
    """

    path: Path
    size: tuple[int, int]
    mode: str
    pixels: dict[int, int]
    colours: dict[int, int]

    def colour(self, value: int) -> int:
        """The colour of a value; a number without one is a grey, and beyond 255 what it is."""
        grey = colour_value(value, value, value) if 0 <= value <= 255 else value
        return self.colours.get(value, grey)


class Meaning(NamedTuple):
    """What values stand for.

    Attributes:
        classes: Names of the labels 0, 1, ...
        palette: Red, green and blue of each.
        labels: Labels of values. All others are void.
        by_colour: Whether numbers stand for their colours.
    """

    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    labels: dict[int, int]
    by_colour: bool

    def label(self, mask: Mask, value: int) -> int:
        """Label of a value of a mask."""
        return self.labels.get(mask.colour(value) if self.by_colour else value, VOID)

    def apply(self, mask: Mask) -> np.ndarray:
        """Labels of a mask, (H, W) uint8, read from its file."""
        values, places = np.unique(_read_values(mask.path)[0], return_inverse=True)
        labels = [self.label(mask, value) for value in values.tolist()]
        return np.array(labels, np.uint8)[places].reshape(mask.size)


def colour_value(red: int, green: int, blue: int) -> int:
    """The value that stands for a colour."""
    return -1 - (red << 16 | green << 8 | blue)


def _rgb(value: int) -> tuple[int, int, int]:
    return ~value >> 16, ~value >> 8 & 255, ~value & 255


def shown(value: int) -> str:
    """A value as a user writes it."""
    return ','.join(map(str, _rgb(value))) if value < 0 else str(value)


def read_classes(classes: str | os.PathLike[str] | Sequence[str] | None) -> list[Line]:
    """Names of classes, and what stands for them.

    Args:
        classes: Names, also joined by commas, or a file with a line ``NAME``, ``NAME,NUMBER`` or
            ``NAME R,G,B`` for each class. What is named ``void`` or ``ignore`` is ignored; without
            a value it is all that no other line names.

    Raises:
        ValueError: A line of another form, a name or a value twice, values of several kinds, or
            fewer than two classes.
    """
    source = '--classes'
    if isinstance(classes, (str, os.PathLike)):
        if Path(classes).is_file():
            source = str(classes)
            classes = [text for text in read_lines(Path(classes)) if text[0] != '#']
        else:
            classes = re.split(r'\s*,\s*', str(classes))
    lines = [_read_line(text, source) for text in classes or ()]
    titled = len(lines) > 1 and lines[0].value is None and not lines[0].is_void
    if titled and all(line.value is not None for line in lines[1:]):
        del lines[0]  # titles of columns
    names = [line.name for line in lines if not line.is_void]
    values = [line.value for line in lines if line.value is not None]
    twice = [i for i, n in Counter([*names, *map(shown, values)]).items() if n > 1]
    if twice:
        raise ValueError(
            f'{source}: expected each name and each value once, got {listed(twice)} twice'
        )
    if len({value < 0 for value in values}) > 1 or 0 < len(values) < len(names):
        raise ValueError(f'{source}: give all classes a number, all a colour, or none')
    if classes is not None and not 2 <= len(names) <= VOID:
        raise ValueError(
            f'{source}: expected 2 to {VOID} classes, such as background,cat, or a file of them, '
            f'got {listed(names) or None}'
        )
    return lines


def _read_line(text: str, source: str) -> Line:
    found = next(filter(None, (re.fullmatch(line, text) for line in _LINES)), None)
    parts = found.groupdict() if found else {}
    colour = [int(parts.get(name, 0)) for name in ('red', 'green', 'blue')]
    if not parts or max(colour) > 255:
        raise ValueError(f'{source}: expected NAME, NAME,NUMBER or NAME R,G,B, got {text!r}')
    if 'red' in parts:
        return Line(parts['name'], colour_value(*colour))
    return Line(parts['name'], int(parts['number']) if 'number' in parts else None)


def read_mask(path: Path) -> Mask:
    """Read a mask, and count its values.

    Raises:
        ValueError: It is damaged, no image, a JPEG, or holds what no label can be.
    """
    values, mode, palette = _read_values(path)
    found, pixels = (part.tolist() for part in np.unique(values, return_counts=True))
    colours = {v: colour_value(*palette[v]) for v in found if 0 <= v < len(palette)}
    height, width = values.shape
    return Mask(path, (height, width), mode, dict(zip(found, pixels)), colours)


def _read_values(path: Path) -> tuple[np.ndarray, str, list[list[int]]]:
    """Values of a mask, Pillow's word for the way in which they are stored, and the palette."""
    image, palette = open_image(path), []
    if image.format in ('JPEG', 'MPO'):
        raise ValueError(f'{path} is a JPEG file, which changes labels at edges; make masks as PNG')
    if image.mode == 'P':
        palette = np.reshape(image.getpalette('RGB'), (-1, 3)).tolist()
    elif image.mode not in ('1', 'L') and image.mode[0] not in 'IF':
        rgb = np.asarray(image.convert('RGB'), np.int32)
        grey = (rgb == rgb[..., :1]).all()
        return rgb[..., 0] if grey else colour_value(*np.moveaxis(rgb, 2, 0)), 'RGB', palette
    held = np.asarray(image)
    values = held.astype(np.int32)
    if values.min() < 0 or values.max() > 65535 or (values != held).any():
        raise ValueError(
            f'{path} holds {held.min()} to {held.max()}; expected whole numbers from 0 to 65535'
        )
    return values, image.mode, palette


def find_meaning(masks: Sequence[Mask], lines: Sequence[Line]) -> Meaning:
    """What the values of all masks stand for.

    Colours of lines come first, if masks have these; then the numbers of lines, or their places. 0
    and 255 alone are two classes; otherwise 255 is void.

    Args:
        masks: All of them.
        lines: As `read_classes` gives them; none where a user names no class.

    Raises:
        ValueError: A value stands for nothing, or what it stands for cannot be told.
    """
    pixels: Counter[int] = Counter()
    drawn: dict[int, dict[int, Path]] = {}
    for mask in masks:
        pixels.update(mask.pixels)
        for value, colour in mask.colours.items():
            drawn.setdefault(value, {}).setdefault(colour, mask.path)
    files = {value: mask.path for mask in masks for value in mask.pixels}
    coloured = min(pixels) < 0
    clash = [held for held in drawn.values() if len(held) > 1]
    given = [line.value for line in lines]
    others_are_void = any(value is not None for value in given) and None in given
    if min(filter(None, given), default=0) < 0:
        meaning = _meaning(lines, given)
        seen = {mask.colour(v): mask.path for mask in masks for v in mask.pixels if v != VOID}
        unknown = sorted(seen.keys() - meaning.labels.keys())
        # Numbers may have the colour of a class by chance, but hardly several.
        hits = {mask.colour(v) for mask in masks for v in mask.pixels} & meaning.labels.keys()
        certain = coloured or clash or len(hits) > 1
        if certain and (others_are_void or not unknown):
            return meaning
        if certain:
            raise ValueError(
                f'{seen[unknown[0]]} has the colour {shown(unknown[0])}, which no class has (all '
                f'such: {listed([*map(shown, unknown)])}); give {_BY_COLOUR}'
            )
        given = [None] * len(lines)  # places, and colours to draw with
    if coloured:
        common = [shown(value) for value, _ in pixels.most_common()]
        raise ValueError(f'masks are in colour: {listed(common)}; give {_BY_COLOUR}')
    if clash and set(given) <= {None}:
        which = [f'{shown(colour)} in {path}' for colour, path in clash[0].items()]
        raise ValueError(f'one number has several colours, {listed(which, 2)}; give {_BY_COLOUR}')
    binary = pixels.keys() in ({0, 255}, {0, 65535})
    if not lines:
        numbers = sorted(pixels.keys() - {VOID})
        count = max(numbers, default=0) + 1
        if not binary and (len(numbers) > MAX_UNNAMED or 2 * len(numbers) < count):
            raise ValueError(
                f'masks hold {listed(sorted(pixels))}: expected 0, 1, 2, ... of at most '
                f'{MAX_UNNAMED} classes, and {VOID} for void; give {_BY_NUMBER}'
            )
        lines = [Line(n) for n in (_BINARY if binary else map('class_{}'.format, range(count)))]
    if set(given) <= {None}:
        given = sorted(pixels) if binary and len(lines) == 2 else [*range(len(lines))]
    meaning = _meaning(lines, given, masks)
    unknown = sorted(pixels.keys() - meaning.labels.keys() - {VOID})
    if unknown and not others_are_void:
        raise ValueError(
            f'{files[unknown[0]]} holds {unknown[0]}, expected {listed([*meaning.labels])}, or '
            f'{VOID} for void; give {_BY_NUMBER}'
        )
    return meaning


def _meaning(
    lines: Sequence[Line], values: Sequence[int | None], masks: Sequence[Mask] = ()
) -> Meaning:
    """What lines stand for, drawn in their colours, in those of masks, or in VOC's."""
    names = [line.name for line in lines if not line.is_void]
    places = [VOID if line.is_void else names.index(line.name) for line in lines]
    labels = {value: place for value, place in zip(values, places) if value is not None}
    drawn = {labels.get(v): colour for mask in masks for v, colour in mask.colours.items()}
    drawn |= {place: line.value for line, place in zip(lines, places) if (line.value or 0) < 0}
    palette = [_rgb(drawn[label]) for label in range(len(names)) if label in drawn]
    # Some programs give numbers a palette of dark greys.
    if len(set(palette)) < len(names) or np.max(palette) <= len(names):
        palette = voc_palette(len(names))
    return Meaning(tuple(names), tuple(palette), labels, min(labels) < 0)
