"""The page of a fit: networks side by side, what they predict, and the one that was chosen."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from mmseg_sparsemask.report.page import Step, render


@dataclass(frozen=True)
class FitRecord:
    """What a fit leaves, as plain data.

    Attributes:
        name: Title of the page.
        choice: Which network is handed over, and why.
        rows: Of the table of networks: cells by column.
        scores: Drawing of the score against milliseconds.
        graphs: Whose decoder, and its drawing.
        images: Number of images by split.
        size: (height, width) of the images that were timed.
        machine: Where that was.
        iterations: Of the supernet, and of every network in the end.
        seen: Lines on the data.
        done: Lines on what was run.
        networks: Titles of the networks in the order of `classes` and `gallery`.
        classes: (class, colour as #rrggbb, IoU of each network or None).
        gallery: (name, PNG or JPEG bytes of image, truth and each prediction).
        code: Python that uses the network.
        commands: What to run next.
    """

    name: str
    choice: str
    rows: Sequence[Mapping[str, str]]
    scores: Figure
    graphs: Sequence[tuple[str, Figure]]
    images: Mapping[str, int]
    size: tuple[int, int]
    machine: str
    iterations: tuple[int, int]
    seen: Sequence[str]
    done: Sequence[str]
    networks: Sequence[str]
    classes: Sequence[tuple[str, str, Sequence[float | None]]]
    gallery: Sequence[tuple[str, Sequence[bytes]]]
    code: str
    commands: Sequence[Step] = ()


def fit_page(record: FitRecord) -> str:
    """The page as HTML.

    Raises:
        ValueError: No network.
    """
    if not record.rows:
        raise ValueError('rows: expected at least one network, got none')
    return render(
        'fit.html.jinja',
        {},
        record=record,
        scores=_figure(record.scores),
        graphs=[(name, _figure(figure)) for name, figure in record.graphs],
        gallery=[(name, [_picture(tile) for tile in tiles]) for name, tiles in record.gallery],
    )


def _figure(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format='svg', metadata={'Date': None}, facecolor='white')
    return _address('svg+xml', buffer.getvalue())


def _picture(content: bytes) -> str:
    return _address('png' if content.startswith(b'\x89PNG') else 'jpeg', content)


def _address(kind: str, content: bytes) -> str:
    return f'data:image/{kind};base64,{base64.b64encode(content).decode()}'
