"""What an exported file has to know besides its graph: how images come in, what labels mean."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import cv2

from mmseg_sparsemask.utils.tool_command import tool_command

#: Of the keys below. A reader refuses a file of another version.
FORMAT_VERSION = 1

#: OpenCV's, by the names that MMCV has for them.
INTERPOLATIONS = {
    'nearest': cv2.INTER_NEAREST,
    'bilinear': cv2.INTER_LINEAR,
    'bicubic': cv2.INTER_CUBIC,
    'area': cv2.INTER_AREA,
    'lanczos': cv2.INTER_LANCZOS4,
}

# An ONNX file is a protocol buffer, whose parts may stand in any order: the last one here is a
# metadata entry of a fixed length with the sum of all bytes before it.
_CHECKSUM = b'\x72\x4a\x0a\x06sha256\x12\x40'


@dataclass(frozen=True)
class Metadata:
    """Stored with an exported network.

    Attributes:
        mean: Subtracted from each channel, in the order that the network takes; as many numbers as
            an image has channels.
        std: What each channel is divided by.
        bgr_to_rgb: Whether an image read as BGR is turned to RGB first.
        resize: The test pipeline's resizes of an image, in order: ``'scale'``, [width, height], or
            ``'scale_factor'``, two numbers; ``'keep_ratio'``; ``'interpolation'``, by its name.
        classes: Names by label.
        palette: RGB colours by label, 0 to 255.
        threshold: A probability, for a network with one channel of logits; None where the
            label is the channel with the largest logit.
        align_corners: Whether corners are aligned in resizing logits to the image that was read.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    bgr_to_rgb: bool
    resize: tuple[dict[str, Any], ...]
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
                f'{tool_command("deployment/export")} wrote'
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
        for name, other in (('palette', 'classes'), ('std', 'mean')):
            if len(values[name]) != len(values[other]):
                raise ValueError(
                    f'{source}: metadata {name}: expected as many as {other}, '
                    f'{len(values[other])}, got {len(values[name])}'
                )
        values['palette'] = map(tuple, values['palette'])
        values['resize'] = _steps(values['resize'])
        for name in ('classes', 'palette', 'mean', 'std', 'resize'):
            values[name] = tuple(values[name])
        return cls(**values)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_list(value: Any, fits: Callable[[Any], bool], count: int | None = None) -> bool:
    return isinstance(value, list) and count in (None, len(value)) and all(map(fits, value))


def _is_whole(value: Any, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high


def is_resize(value: Any) -> bool:
    """Whether a value is one of the resizes that a predictor carries out."""
    if not isinstance(value, dict) or type(value.get('keep_ratio')) is not bool:
        return False
    interpolation = value.get('interpolation', 'bilinear')
    fits = {
        'scale': lambda side: _is_whole(side, 1, 2**16),
        'scale_factor': lambda factor: _is_number(factor) and 0 < factor < 2**16,
    }
    rest = list(value.keys() - {'keep_ratio', 'interpolation'})
    return (
        isinstance(interpolation, str)
        and interpolation in INTERPOLATIONS
        and len(rest) == 1
        and rest[0] in fits
        and _is_list(value[rest[0]], fits[rest[0]], 2)
    )


def _steps(resize: Any) -> Any:
    """The resizes of a file; early ones have one of them, or null."""
    return resize if isinstance(resize, list) else [resize] if resize else []


# What each value has to be: in words, and as a test.
_VALID: dict[str, tuple[str, Callable[[Any], bool]]] = {
    'mean': ('a number for each channel', lambda v: _is_list(v, _is_number) and v),
    'std': ('numbers above 0', lambda v: _is_list(v, lambda n: _is_number(n) and n > 0)),
    'bgr_to_rgb': ('true or false', lambda v: type(v) is bool),
    'resize': (
        'a list of resizes, each with scale (two whole numbers) or scale_factor, keep_ratio and '
        'interpolation',
        lambda v: _is_list(_steps(v), is_resize),
    ),
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
        content: Content of the file.
        source: Its name, for the message.

    Raises:
        ValueError: It is not.
    """
    end = len(content) - len(_CHECKSUM) - hashlib.sha256().digest_size * 2
    if end < 0 or with_checksum(content[:end]) != content:
        raise ValueError(
            f'{source} is damaged, was changed, or is no exported file: the checksum at '
            f'its end does not fit; export it again with {tool_command("deployment/export")}'
        )
