"""Results of runs: one row a run in a CSV file, and what is said of several runs together."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from mmseg_sparsemask.compare.rows import Row
from mmseg_sparsemask.utils.checks import check_printable
from mmseg_sparsemask.utils.files import csv_text, read_csv, write_atomically

#: What stands in a field that does not apply: a decoder without a graph has no connections.
NONE = '-'

#: The method that the others are compared with where a table names no other.
CONTROL = 'random decoders'


@dataclass(frozen=True)
class Result:
    """One run.

    Attributes:
        method: Whose decoder it is, such as ``U-Net``.
        training: How it was trained, such as ``from the encoder's weights``.
        seed: Seed of the run.
        data: Data set, and sizes of images and crops.
        encoder: Encoder, and the weights it starts from.
        connectivity: The decoder's graph, or ``-``.
        connections: Their number, or ``-``.
        search_iterations: Iterations of the search before the training; 0 without one.
        training_iterations: Iterations of the training; 0 for what a search leaves.
        encoder_parameters: Learnable numbers.
        decoder_parameters: The same, of the decode head.
        encoder_multiply_adds: For one image of `image_size`.
        decoder_multiply_adds: The same, of the decode head.
        image_size: ``height x width`` in pixels of what the network sees.
        ms: Median time of the whole network for one such image, in milliseconds.
        timed_on: Processor or GPU of that measurement.
        threads: Threads of the run and of the measurement.
        metric: Metric of the scores: ``mIoU`` (percent), ``ODS`` or ``max F`` (0 to 1).
        score_val: On the images by which methods may be chosen, or ``-`` where a data set has none.
        score_test: On the images that are scored once.
        config: The config of the training.
        options: What overrides it, as for ``--cfg-options``, or ``-``.
        machine: Processor or GPU of the run.
        versions: Versions of Python and libraries.
        commit: Commit of this repository.
        log: Name of the training's log; of the search's if there was no training.
    """

    method: str
    training: str
    seed: int
    data: str
    encoder: str
    connectivity: str
    connections: int | str
    search_iterations: int
    training_iterations: int
    encoder_parameters: int
    decoder_parameters: int
    encoder_multiply_adds: int
    decoder_multiply_adds: int
    image_size: str
    ms: float
    timed_on: str
    threads: int
    metric: str
    score_val: float | str
    score_test: float
    config: str
    options: str
    machine: str
    versions: str
    commit: str
    log: str

    @property
    def group(self) -> tuple[str, str, int, int]:
        """What runs have in common that differ by their seed alone."""
        return self.method, self.training, self.search_iterations, self.training_iterations

    @property
    def title(self) -> str:
        """The run in a message."""
        return f'{self.method}, {self.training}, seed {self.seed}'


#: Columns of a file, in this order.
COLUMNS = tuple(field.name for field in fields(Result))

#: Columns in which `NONE` may stand for something that does not apply.
_MAY_LACK = ('connectivity', 'connections', 'score_val', 'options')

#: The largest score by metric, and its decimals: two more than are shown where these are few.
_METRICS = {'mIoU': (100, 2), 'ODS': (1, 5), 'max F': (1, 5)}

_WHOLE = re.compile('[0-9]{1,15}')
_NUMBER = re.compile(r'[0-9]{1,15}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?')

#: What a text must look like, and how that is said.
_FORMS = {
    'image_size': (re.compile('[1-9][0-9]{0,5} x [1-9][0-9]{0,5}'), 'height x width in pixels'),
    # The last column: a file that was cut ends within it.
    'log': (re.compile(r'.+\.log'), 'a name that ends in .log'),
    'metric': (re.compile('|'.join(_METRICS)), f'one of {", ".join(_METRICS)}'),
}


def read_results(path: str | Path) -> list[Result]:
    """Every row of a file.

    Raises:
        ValueError: Other columns; a field that is missing or not of its kind; a run that is there
            twice. The message names file and row.
    """
    lines = read_csv(path)
    if not lines or tuple(lines[0]) != COLUMNS:
        raise ValueError(
            f'{path}: expected the columns {", ".join(COLUMNS)}, got '
            f'{", ".join(lines[0]) if lines else "an empty file"}'
        )
    results: list[Result] = []
    for number, cells in enumerate(lines[1:], 2):
        try:
            if len(cells) > len(COLUMNS):
                raise ValueError(f'expected {len(COLUMNS)} fields, got {len(cells)}')
            result = to_result(dict(zip(COLUMNS, cells)))
            _check_new(result, results)
        except ValueError as error:
            raise ValueError(f'{path}, line {number}: {error}') from None
        results.append(result)
    return results


def to_result(row: Mapping[str, Any]) -> Result:
    """A row from its fields, as text or as numbers, which are rounded to what they mean.

    Raises:
        ValueError: A field is missing or empty, unknown, or not of its kind.
    """
    unknown = sorted(set(row) - set(COLUMNS))
    if unknown:
        raise ValueError(f'unknown fields {unknown}; expected {", ".join(COLUMNS)}')
    values: dict[str, Any] = {}
    for field in fields(Result):
        value = str(row.get(field.name, '')).strip()
        if not value:
            raise ValueError(
                f'the field {field.name} is missing; every row needs all of {", ".join(COLUMNS)}'
            )
        if value == NONE and field.name not in _MAY_LACK:
            raise ValueError(f'the field {field.name} is {NONE!r}; it applies to every run')
        if value != NONE and 'str' != field.type:
            values[field.name] = _number(field.name, value, whole='int' in str(field.type))
        else:
            values[field.name] = _text(field.name, value)
    most, digits = _METRICS[values['metric']]
    for name in ('score_val', 'score_test'):
        if values[name] != NONE:
            if values[name] > most:
                raise ValueError(
                    f'the field {name}: expected {values["metric"]} of 0 to {most}, got {row[name]}'
                )
            values[name] = round(values[name], digits)
    values['ms'] = round(values['ms'], 2)
    if not 0 < values['ms'] <= 1e9:
        raise ValueError(f'the field ms: expected 0.01 to 1e9, got {row["ms"]!r}')
    _check_connections(values['connectivity'], values['connections'])
    return Result(**values)


def _text(name: str, text: str) -> str:
    check_printable(f'the field {name}', text)
    form, said = _FORMS.get(name, (None, ''))
    if form is not None and not form.fullmatch(text):
        raise ValueError(f'the field {name}: expected {said}, got {text!r}')
    return text


def _number(name: str, text: str, whole: bool) -> float:
    # Python's own numbers may have underscores and the digits of all scripts.
    if not (_WHOLE if whole else _NUMBER).fullmatch(text):
        kind = 'a whole number' if whole else 'a number'
        raise ValueError(f'the field {name}: expected {kind} of at least 0, got {text!r}')
    value = int(text) if whole else float(text)
    if not value and name == 'threads':
        raise ValueError(f'the field {name}: expected more than 0, got {text!r}')
    return value


def _check_connections(graph: str, number: int | str) -> None:
    found: int | str = NONE
    if graph != NONE:
        found = sum(len(stage.split()) - 1 for stage in graph.split(' · '))
    if found != number:
        raise ValueError(f'connections: expected {found}, those of {graph!r}, got {number}')


def _check_new(result: Result, others: Sequence[Result]) -> None:
    if others and others[0].metric != result.metric:
        raise ValueError(
            f'the metric is {result.metric}, that of the rows before {others[0].metric}; a file '
            'has one, name another file'
        )
    if any((other.group, other.seed) == (result.group, result.seed) for other in others):
        raise ValueError(
            f'{result.method}, {result.training}, with {result.search_iterations} + '
            f'{result.training_iterations} iterations and seed {result.seed} is there already; '
            'remove that row if the run was repeated'
        )


def append_results(path: str | Path, new: Iterable[Result]) -> None:
    """Add rows to a file, which is made if it does not exist; all of them or none.

    Raises:
        ValueError: A run is there already, or the file is not of this kind or cannot be written.
    """
    path = Path(path)
    results = read_results(path) if path.exists() else []
    for result in new:
        _check_new(result, results)
        results.append(result)
    write_results(path, results)


def write_results(path: str | Path, results: Iterable[Result]) -> None:
    """Write a file of these rows, whole or not at all."""
    write_atomically(path, csv_text(COLUMNS, map(astuple, results)))


@dataclass(frozen=True)
class Group:
    """Runs that differ by their seed alone; at least one."""

    runs: tuple[Result, ...]

    @property
    def first(self) -> Result:
        """The run that says what they have in common."""
        return self.runs[0]

    @property
    def title(self) -> str:
        """Method and training, in a table or a plot."""
        return f'{self.first.method}, {self.first.training}'

    @property
    def test(self) -> tuple[float, ...]:
        """Test scores of the runs."""
        return tuple(run.score_test for run in self.runs)

    @property
    def val(self) -> tuple[float, ...]:
        """Validation scores of the runs that have one."""
        return tuple(run.score_val for run in self.runs if not isinstance(run.score_val, str))

    def mean_of(self, column: str) -> float:
        """Mean of a column over the runs: searched decoders differ in size."""
        return statistics.fmean(getattr(run, column) for run in self.runs)

    def row(self) -> Row:
        """The group as a row of `draw_comparison`: test scores, the decoder's costs, speed."""
        return Row(
            self.title,
            metric=self.first.metric,
            scores=list(self.test),
            decoder_parameters=round(self.mean_of('decoder_parameters')),
            encoder_parameters=self.first.encoder_parameters,
            decoder_multiply_adds=round(self.mean_of('decoder_multiply_adds')),
            encoder_multiply_adds=self.first.encoder_multiply_adds,
            fps=1000 / self.mean_of('ms'),
        )


def group_results(results: Iterable[Result]) -> list[Group]:
    """Runs by what they have in common, the best mean on the test images first."""
    by_group: dict[tuple[str, str, int, int], list[Result]] = {}
    for result in results:
        by_group.setdefault(result.group, []).append(result)
    groups = [Group(tuple(runs)) for runs in by_group.values()]
    return sorted(groups, key=lambda group: (-statistics.fmean(group.test), group.first.group))
