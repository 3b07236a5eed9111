"""The table's rows, and their text forms."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from prettytable import PrettyTable, TableStyle

MISSING = '-'


@dataclass
class Row:
    """One method. What is None is not known; `notes` say why.

    Attributes:
        method: Name, usually that of its config.
        connections: Connections of the decoder, for decoders that have them.
        scores: mIoU in percent, one for each run found.
        score_source: What they were measured on, such as ``'test'``.
        encoder_parameters: Learnable numbers.
        decoder_parameters: The same, of the decode head; connection weights are not counted.
        encoder_multiply_adds: For one image of the table's size.
        decoder_multiply_adds: The same, of the decode head.
        fps: Images a second, one at a time.
        memory: Peak memory of one image, in bytes, weights included.
        notes: Why something is missing.
    """

    method: str
    connections: int | None = None
    scores: list[float] = field(default_factory=list)
    score_source: str = ''
    encoder_parameters: int | None = None
    decoder_parameters: int | None = None
    encoder_multiply_adds: int | None = None
    decoder_multiply_adds: int | None = None
    fps: float | None = None
    memory: int | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def score(self) -> float | None:
        """Mean of the scores."""
        return statistics.fmean(self.scores) if self.scores else None

    @property
    def spread(self) -> float | None:
        """Sample standard deviation of the scores; None for fewer than two."""
        return statistics.stdev(self.scores) if len(self.scores) > 1 else None

    @property
    def parameters(self) -> int | None:
        """Encoder and decoder together."""
        return _sum(self.encoder_parameters, self.decoder_parameters)

    @property
    def multiply_adds(self) -> int | None:
        """Encoder and decoder together."""
        return _sum(self.encoder_multiply_adds, self.decoder_multiply_adds)


def _sum(encoder: int | None, decoder: int | None) -> int | None:
    return None if encoder is None or decoder is None else encoder + decoder


def both(encoder: int | None, decoder: int | None, unit: float, suffix: str) -> str:
    """``'2.22+0.56M'``: encoder and decoder as the paper writes them."""
    if encoder is None or decoder is None:
        return MISSING
    return f'{_digits(encoder / unit)}+{_digits(decoder / unit)}{suffix}'


def _digits(number: float) -> str:
    """Two decimals; for what these would show as 0, the decimals of two digits."""
    decimals = 2
    if 0 < number < 0.005:
        decimals = 1 - math.floor(math.log10(number))
    return f'{number:.{decimals}f}'


def score_text(row: Row) -> str:
    """``'71.2'``, or ``'71.2 ± 0.4 (3 runs)'``."""
    if row.score is None:
        return MISSING
    if row.spread is None:
        return f'{row.score:.2f}'
    return f'{row.score:.2f} ± {row.spread:.2f} ({len(row.scores)} runs)'


def to_markdown(rows: Sequence[Row], measured: bool, heading: str = '') -> str:
    """The table in Markdown, with the reasons for what is missing below it.

    Args:
        rows: In the order to print.
        measured: Whether to show FPS and memory.
        heading: What the figures hold for: image size, device, versions.
    """
    table = PrettyTable(
        ['method', 'connections', 'mIoU', 'parameters', 'multiply-adds']
        + (['FPS', 'peak memory'] if measured else [])
    )
    table.align = 'l'
    table.set_style(TableStyle.MARKDOWN)
    for row in rows:
        cells = [
            row.method,
            MISSING if row.connections is None else str(row.connections),
            score_text(row) + (f' ({row.score_source})' if row.scores and row.score_source else ''),
            both(row.encoder_parameters, row.decoder_parameters, 1e6, 'M'),
            both(row.encoder_multiply_adds, row.decoder_multiply_adds, 1e9, 'G'),
        ]
        if measured:
            cells.append(MISSING if row.fps is None else f'{row.fps:.2f}')
            cells.append(MISSING if row.memory is None else f'{row.memory / 2**20:.0f} MiB')
        table.add_row(cells)
    parts = [f'{heading}\n'] if heading else []
    parts.append(table.get_string())
    notes = [f'- {row.method}: {note}' for row in rows for note in row.notes]
    return '\n'.join(parts + ([''] + notes if notes else [])) + '\n'


def to_csv(rows: Sequence[Row]) -> str:
    """Every number unrounded, one line a row; empty where unknown."""
    file = io.StringIO()
    columns = [
        *('method', 'connections', 'miou', 'miou_std', 'runs', 'miou_source'),
        *('encoder_parameters', 'decoder_parameters'),
        *('encoder_multiply_adds', 'decoder_multiply_adds', 'fps', 'peak_memory_bytes', 'notes'),
    ]
    writer = csv.writer(file, lineterminator='\n')
    writer.writerow(columns)
    for row in rows:
        writer.writerow(
            [
                *(row.method, row.connections, row.score, row.spread, len(row.scores)),
                *(row.score_source, row.encoder_parameters, row.decoder_parameters),
                *(row.encoder_multiply_adds, row.decoder_multiply_adds, row.fps, row.memory),
                '; '.join(row.notes),
            ]
        )
    return file.getvalue()
