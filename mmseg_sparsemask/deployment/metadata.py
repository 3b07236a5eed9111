"""What an exported file has to know besides its graph: how images come in, what labels mean."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from mmseg_sparsemask.datasets.palette import voc_palette

#: Of the keys below. A reader refuses a file of another version.
FORMAT_VERSION = 1


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
            ValueError: A key is missing, or the version is another one.
        """
        names = ['format_version', *(field.name for field in fields(cls))]
        missing = [name for name in names if name not in strings]
        if missing:
            raise ValueError(
                f'{source} has no metadata {", ".join(missing)}; expected a file that '
                'tools/deployment/export.py wrote'
            )
        values = {name: json.loads(strings[name]) for name in names}
        version = values.pop('format_version')
        if version != FORMAT_VERSION:
            raise ValueError(
                f'{source} is of format version {version}, expected {FORMAT_VERSION}; '
                'export it again with this version'
            )
        values['classes'] = tuple(values['classes'])
        values['palette'] = tuple(map(tuple, values['palette']))
        values['mean'], values['std'] = tuple(values['mean']), tuple(values['std'])
        return cls(**values)


def class_colours(
    meta: Mapping[str, Any], count: int
) -> tuple[tuple[str, ...], tuple[tuple[int, int, int], ...]]:
    """Names and colours of `count` labels, from a data set's meta information where it has them."""
    classes: Sequence[str] = meta.get('classes') or [f'class {label}' for label in range(count)]
    palette = meta.get('palette') or voc_palette(len(classes))
    return tuple(classes), tuple((int(r), int(g), int(b)) for r, g, b in palette)
