"""The table's rows, and their text forms."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from prettytable import PrettyTable, TableStyle

from mmseg_sparsemask.utils.files import csv_text
from mmseg_sparsemask.utils.markup import plain_text

MISSING = '-'

#: What encoder and decoder cost, as rows and results name it.
COSTS = (
    'encoder_parameters',
    'decoder_parameters',
    'encoder_multiply_adds',
    'decoder_multiply_adds',
)


@dataclass
class Row:
    """One method. What is None is not known; `notes` say why.

    Attributes:
        method: Name, usually that of its config.
        connections: Connections of the decoder, for decoders that have them.
        scores: One for each run found; mIoU in percent, other scores in [0, 1].
        metric: Their name.
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
    metric: str = 'mIoU'

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
    """``'71.20'``, or ``'71.20 ± 0.40 (3 runs)'``; three decimals of what is no percentage."""
    if row.score is None:
        return MISSING
    decimals = decimals_of(row.metric)
    if row.spread is None:
        return f'{row.score:.{decimals}f}'
    return f'{row.score:.{decimals}f} ± {row.spread:.{decimals}f} ({len(row.scores)} runs)'


def decimals_of(metric: str) -> int:
    """How many decimals a score is shown with: more where it is no percentage."""
    return 2 if metric == 'mIoU' else 3


def metric_of(rows: Sequence[Row]) -> str:
    """Name of the scores of a table: their metric, or ``score`` where they differ."""
    metrics = {row.metric for row in rows if row.scores} or {'mIoU'}
    return metrics.pop() if len(metrics) == 1 else 'score'


def to_markdown(rows: Sequence[Row], measured: bool, heading: str = '') -> str:
    """The table in Markdown, with the reasons for what is missing below it.

    Args:
        rows: In the order to print.
        measured: Whether to show FPS and memory.
        heading: What the figures hold for: image size, device, versions.
    """
    metric = metric_of(rows)
    columns = ['#', 'method', 'connections', metric, 'parameters', 'multiply-adds']
    columns += ['FPS', 'peak memory'] if measured else []
    lines: list[list[object]] = []
    for number, row in enumerate(rows, 1):
        said = [row.metric] if metric == 'score' else []
        said += [row.score_source] if row.score_source else []
        cells: list[object] = [
            number,
            plain_text(row.method),
            MISSING if row.connections is None else str(row.connections),
            score_text(row) + (f' ({plain_text(", ".join(said))})' if row.scores and said else ''),
            both(row.encoder_parameters, row.decoder_parameters, 1e6, 'M'),
            both(row.encoder_multiply_adds, row.decoder_multiply_adds, 1e9, 'G'),
        ]
        if measured:
            cells.append(MISSING if row.fps is None else f'{row.fps:.2f}')
            cells.append(MISSING if row.memory is None else f'{row.memory / 2**20:.0f} MiB')
        lines.append(cells)
    parts = [f'{heading}\n'] if heading else []
    parts.append(markdown_table(columns, columns, lines))
    notes = [plain_text(f'{row.method}: {note}') for row in rows for note in row.notes]
    return '\n'.join(parts + ([''] + [f'- {note}' for note in notes] if notes else [])) + '\n'


def markdown_table(
    columns: Sequence[str], left: Sequence[str], rows: Sequence[list[object]]
) -> str:
    """A table in Markdown.

    Args:
        columns: Their names.
        left: Those of which the cells stand to the left; all others stand to the right.
        rows: A cell for each column.
    """
    table = PrettyTable(columns, align='r')
    for column in left:
        table.align[column] = 'l'
    table.set_style(TableStyle.MARKDOWN)
    table.add_rows(rows)
    return table.get_string()


def to_csv(rows: Sequence[Row]) -> str:
    """One line a row, numbers rounded to what they mean; empty where unknown."""
    records = [{**_record(row), 'notes': '; '.join(row.notes)} for row in rows]
    return csv_text(list(_record(Row(''))), [record.values() for record in records])


def to_json(rows: Sequence[Row]) -> str:
    """The same as a list of objects; null where unknown."""
    records = [{**_record(row), 'scores': [round(s, 4) for s in row.scores]} for row in rows]
    return json.dumps(records, indent=2) + '\n'


def _record(row: Row) -> dict[str, Any]:
    return {
        'method': row.method,
        'connections': row.connections,
        'metric': row.metric,
        'score': _rounded(row.score, 4),
        'score_std': _rounded(row.spread, 4),
        'runs': len(row.scores),
        'score_source': row.score_source,
        **{name: getattr(row, name) for name in COSTS},
        'fps': _rounded(row.fps, 3),
        'peak_memory_bytes': row.memory,
        'notes': row.notes,
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def one_line(error: Exception) -> str:
    """Kind and last line of an error, for a row's notes."""
    lines = str(error).strip().splitlines() or ['']
    return f'{type(error).__name__}: {lines[-1]}'
