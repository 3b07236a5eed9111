"""What an exported file has to know besides its graph: how images come in, what labels mean."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from mmseg_sparsemask.datasets.palette import voc_palette

#: Of the keys below. A reader refuses a file of another version.
FORMAT_VERSION = 1

# An ONNX file is a protocol buffer, whose parts may stand in any order: the last one here is a
# metadata entry of a fixed length with the sum of all bytes before it.
_CHECKSUM = b'\x72\x4a\x0a\x06sha256\x12\x40'


@dataclass(frozen=True)
class Metadata:
    """Stored with an exported network.

    Attributes:
        mean: Subtracted from each channel, in the order that the network takes.
        std: What each channel is divided by.
        bgr_to_rgb: Whether an image read as BGR is turned to RGB first.
        resize: The test pipeline's resizing of an image, ``{'scale': [width, height],
            'keep_ratio': bool}``; None for none.
        classes: Names by label.
        palette: RGB colours by label, 0 to 255.
        threshold: Of the probability, for a network with one channel of logits; None where the
            label is the channel with the largest logit.
        align_corners: Of resizing logits to the image that was read.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    bgr_to_rgb: bool
    resize: dict[str, Any] | None
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    threshold: float | None
    align_corners: bool

    def to_strings(self) -> dict[str, str]:
        """Keys and values as ONNX keeps them: JSON, one for each attribute."""
        items = {'format_version': FORMAT_VERSION, **asdict(self)}
        return {key: json.dumps(value) for key, value in items.items()}

    @classmethod
    def from_strings(cls, strings: Mapping[str, str], source: str) -> Metadata:
        """Read back what `to_strings` wrote.

        Args:
            strings: Other keys are left alone.
            source: Where they come from, for messages.

        Raises:
            ValueError: A key is missing, a value is not what it has to be, or the version differs.
        """
        names = ['format_version', *(field.name for field in fields(cls))]
        missing = [name for name in names if name not in strings]
        if missing:
            raise ValueError(
                f'{source} has no metadata {", ".join(missing)}; expected a file that '
                'tools/deployment/export.py wrote'
            )
        values = {}
        for name in names:
            try:
                values[name] = json.loads(strings[name])
            except (ValueError, RecursionError):
                raise ValueError(f'{source}: metadata {name}: expected JSON') from None
        version = values.pop('format_version')
        if type(version) is not int or version != FORMAT_VERSION:
            raise ValueError(
                f'{source} is of format version {version!r:.40}, expected {FORMAT_VERSION}; '
                'export it again with this version'
            )
        for name, (expected, fits) in _VALID.items():
            if not fits(values[name]):
                raise ValueError(
                    f'{source}: metadata {name}: expected {expected}, got {values[name]!r:.60}'
                )
        if len(values['classes']) != len(values['palette']):
            raise ValueError(
                f'{source}: metadata palette: expected a colour for each of '
                f'{len(values["classes"])} classes, got {len(values["palette"])}'
            )
        values['classes'] = tuple(values['classes'])
        values['palette'] = tuple(map(tuple, values['palette']))
        values['mean'], values['std'] = tuple(values['mean']), tuple(values['std'])
        return cls(**values)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_list(value: Any, fits: Callable[[Any], bool], count: int | None = None) -> bool:
    return isinstance(value, list) and count in (None, len(value)) and all(map(fits, value))


def _is_whole(value: Any, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high


def _is_resize(value: Any) -> bool:
    return value is None or (
        isinstance(value, dict)
        and set(value) == {'scale', 'keep_ratio'}
        and type(value['keep_ratio']) is bool
        and _is_list(value['scale'], lambda side: _is_whole(side, 1, 2**16), 2)
    )


# What each value has to be: in words, and as a test.
_VALID: dict[str, tuple[str, Callable[[Any], bool]]] = {
    'mean': ('three numbers', lambda v: _is_list(v, _is_number, 3)),
    'std': ('three numbers above 0', lambda v: _is_list(v, lambda n: _is_number(n) and n > 0, 3)),
    'bgr_to_rgb': ('true or false', lambda v: type(v) is bool),
    'resize': ('null, or scale (two whole numbers) and keep_ratio', _is_resize),
    'classes': ('a list of names', lambda v: _is_list(v, lambda n: isinstance(n, str)) and v),
    'palette': (
        'a list of colours, three whole numbers from 0 to 255 each',
        lambda v: _is_list(v, lambda c: _is_list(c, lambda n: _is_whole(n, 0, 255), 3)),
    ),
    'threshold': (
        'null or a number between 0 and 1',
        lambda v: v is None or (_is_number(v) and 0 <= v <= 1),
    ),
    'align_corners': ('true or false', lambda v: type(v) is bool),
}


def with_checksum(model: bytes) -> bytes:
    """An ONNX file's content with a metadata entry ``sha256`` at its end: of all before it."""
    return model + _CHECKSUM + hashlib.sha256(model).hexdigest().encode()


def check_checksum(content: bytes, source: str) -> None:
    """Make sure that an ONNX file is as `with_checksum` made it.

    Args:
        content: Of the file.
        source: Its name, for the message.

    Raises:
        ValueError: It is not.
    """
    end = len(content) - len(_CHECKSUM) - hashlib.sha256().digest_size * 2
    if end < 0 or with_checksum(content[:end]) != content:
        raise ValueError(
            f'{source} is damaged, was changed, or is no file of tools/deployment/export.py: the '
            'checksum at its end does not fit; export it again with this version'
        )


def class_colours(
    meta: Mapping[str, Any], count: int
) -> tuple[tuple[str, ...], tuple[tuple[int, int, int], ...]]:
    """Names and colours of `count` labels, from a data set's meta information where it has them.

    Raises:
        ValueError: The names are no list of strings, or the colours none of three numbers each.
    """
    try:
        classes = meta.get('classes') or [f'class {label}' for label in range(count)]
        palette = meta.get('palette') or voc_palette(len(classes))
        if isinstance(classes, str) or not all(isinstance(name, str) for name in classes):
            raise TypeError
        return tuple(classes), tuple((int(r), int(g), int(b)) for r, g, b in palette)
    except (AttributeError, OverflowError, RuntimeError, TypeError, ValueError):
        raise ValueError(
            'dataset_meta: expected a list of names as classes and three numbers for each colour '
            f'of the palette, got {meta!r:.80}'
        ) from None
