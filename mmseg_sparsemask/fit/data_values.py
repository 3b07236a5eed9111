"""What the values of masks mean: numbers or colours, and the classes that they stand for.

A value is one integer: a number is itself, a colour is negative, see `colour_value`.
"""

from __future__ import annotations

import os
import re
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
    """Name of a class, None for void, and the value that stands for it, if a user says one."""

    name: str | None
    value: int | None = None


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


class Meaning:
    """What values stand for.

    Args:
        lines: Classes, and what is void.
        values: The value of each line; None for one that has none.

    Attributes:
        classes: Names of the labels 0, 1, ...
        palette: Red, green and blue of each.
        labels: Labels of values. All others are void.
    """

    def __init__(self, lines: Sequence[Line], values: Sequence[int | None]) -> None:
        self.classes = tuple(line.name for line in lines if line.name)
        places = [self.classes.index(line.name) if line.name else VOID for line in lines]
        self.labels = {value: label for value, label in zip(values, places) if value is not None}
        drawn = [line.value for line in lines if line.name]
        coloured = min(value or 0 for value in drawn) < 0
        self.palette = [_rgb(v) for v in drawn] if coloured else voc_palette(len(self.classes))

    def label(self, mask: Mask, value: int) -> int:
        """Label of a value of a mask."""
        return self.labels.get(mask.colour(value) if min(self.labels) < 0 else value, VOID)

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
    if classes is None:
        return []
    if isinstance(classes, (str, os.PathLike)):
        # Not `Path.is_file`: many names are too long for a path, which is an error there.
        is_file = os.path.isfile(classes)
        classes = read_lines(Path(classes)) if is_file else re.split(r'\s*,\s*', str(classes))
    lines = [_read_line(text) for text in classes if not text.startswith('#')]
    rest = [line.value is None for line in lines[1:] if line.name]
    if rest and not any(rest) and lines[0].name and lines[0].value is None:
        del lines[0]  # titles of columns
    names = [line.name for line in lines if line.name]
    kinds = {line.value and line.value < 0 for line in lines if line.name}
    given = [*names, *(line.value for line in lines if line.value is not None)]
    if not 2 <= len(names) <= VOID or len(kinds) > 1 or len(set(given)) < len(given):
        raise ValueError(
            f'--classes: expected 2 to {VOID} classes of different names, or a file of them, with '
            f'different numbers, with different colours, or without; got {listed([*classes])}'
        )
    return lines


def _read_line(text: str) -> Line:
    found = next(filter(None, (re.fullmatch(line, text) for line in _LINES)), None)
    parts = found.groupdict() if found else {}
    colour = [int(parts.get(name, 0)) for name in ('red', 'green', 'blue')]
    if not parts or max(colour) > 255:
        raise ValueError(f'--classes: expected NAME, NAME,NUMBER or NAME R,G,B, got {text!r}')
    name = None if parts['name'].lower() in ('void', 'ignore') else parts['name']
    if 'red' in parts:
        return Line(name, colour_value(*colour))
    return Line(name, int(parts['number']) if 'number' in parts else None)


def read_mask(path: Path) -> Mask:
    """Read a mask, and count its values.

    Raises:
        ValueError: It is damaged, no image, a JPEG, or holds what no label can be.
    """
    values, mode, palette = _read_values(path)
    found, pixels = (part.tolist() for part in np.unique(values, return_counts=True))
    colours = {v: colour_value(*palette[v]) for v in found if 0 <= v < len(palette)}
    return Mask(path, values.shape, mode, dict(zip(found, pixels)), colours)


def _read_values(path: Path) -> tuple[np.ndarray, str, list[list[int]]]:
    """Values of a mask, Pillow's word for the way in which they are stored, and the palette."""
    image = open_image(path)
    palette = image.getpalette('RGB') if image.mode == 'P' else None
    if image.format in ('JPEG', 'MPO'):
        raise ValueError(f'{path} is a JPEG file, which changes labels at edges; make masks as PNG')
    if image.mode not in ('1', 'L', 'P') and image.mode[0] not in 'IF':
        rgb = np.asarray(image.convert('RGB'), np.int32)
        grey = (rgb == rgb[..., :1]).all()
        return rgb[..., 0] if grey else colour_value(*np.moveaxis(rgb, 2, 0)), 'RGB', []
    held = np.asarray(image)
    values = held.astype(np.int32)
    if values.min() < 0 or values.max() > 65535 or (values != held).any():
        found = f'{held.min()} to {held.max()}'
        raise ValueError(f'{path}: expected whole numbers from 0 to 65535, got {found}')
    return values, image.mode, np.reshape(palette or [], (-1, 3)).tolist()


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
    files = {value: mask.path for mask in masks for value in mask.pixels}
    drawn: dict[int, dict[int, Path]] = {}
    for mask in masks:
        for value, colour in mask.colours.items():
            drawn.setdefault(value, {})[colour] = mask.path
    clash = next((held for held in drawn.values() if len(held) > 1), {})
    coloured = min(files) < 0
    given = [line.value for line in lines]
    others_are_void = None in given and set(given) != {None}
    if min(filter(None, given), default=0) < 0:
        meaning = Meaning(lines, given)
        seen = {mask.colour(v): mask.path for mask in masks for v in mask.pixels}
        void = {mask.colour(VOID) for mask in masks if VOID in mask.pixels}
        unknown = sorted(seen.keys() - meaning.labels.keys() - void)
        # Numbers may have the colour of a class by chance, but hardly several.
        if coloured or clash or len(meaning.labels.keys() & seen.keys()) > 1:
            if unknown and not others_are_void:
                raise ValueError(
                    f'{seen[unknown[0]]}: no class has the colour {shown(unknown[0])} (all such: '
                    f'{listed([*map(shown, unknown)])}); give {_BY_COLOUR}'
                )
            return meaning
        given = []  # places, and colours to draw with
    if coloured or clash and set(given) <= {None}:
        held = [f'{shown(value)} in {path}' for value, path in (clash or files).items()]
        raise ValueError(
            f'masks are in colour, or in palettes that differ: {listed(held, 3)}; give {_BY_COLOUR}'
        )
    numbers = sorted(files.keys() - {VOID})
    binary = files.keys() in ({0, 255}, {0, 65535})
    if not lines:
        count = max(numbers, default=0) + 1
        if not binary and (len(numbers) > MAX_UNNAMED or 2 * len(numbers) < count):
            raise ValueError(
                f'masks hold {listed(sorted(files))}: expected 0, 1, 2, ... of at most '
                f'{MAX_UNNAMED} classes, and {VOID} for void; give {_BY_NUMBER}'
            )
        names = ('background', 'foreground') if binary else map('class_{}'.format, range(count))
        lines = [*map(Line, names)]
    if set(given) <= {None}:
        given = sorted(files) if binary and len(lines) == 2 else [*range(len(lines))]
    meaning = Meaning(lines, given)
    unknown = [number for number in numbers if number not in meaning.labels]
    if unknown and not others_are_void:
        raise ValueError(
            f'{files[unknown[0]]} holds {unknown[0]}, expected {listed([*meaning.labels])}, or '
            f'{VOID} for void; give {_BY_NUMBER}'
        )
    return meaning
