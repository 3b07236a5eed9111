"""Results of runs: one row a run in a CSV file, and what is said of several runs together."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from scipy.stats import mannwhitneyu

from mmseg_sparsemask.compare.rows import Row
from mmseg_sparsemask.utils.files import csv_text, write_atomically

#: What stands in a field that does not apply: a decoder without a graph has no connections.
NONE = '-'

#: The method that the others are compared with.
CONTROL = 'random decoders'


@dataclass(frozen=True)
class Result:
    """One run.

    Attributes:
        method: Whose decoder it is, such as ``U-Net``.
        training: How it was trained, such as ``from the encoder's weights``.
        seed: Of the run.
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
        metric: Of the scores: ``mIoU`` (percent), ``ODS`` or ``max F`` (0 to 1).
        score_val: On the images by which methods may be chosen, or ``-`` where a data set has none.
        score_test: On the images that are scored once.
        config: The config of the training.
        options: What overrides it, as for ``--cfg-options``, or ``-``.
        machine: Processor or GPU of the run.
        versions: Of Python and libraries.
        commit: Of this repository.
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


def read_results(path: str | Path) -> list[Result]:
    """Every row of a file.

    Raises:
        ValueError: Other columns; a field that is missing or no number; a run that is there twice.
            The message names file and line.
    """
    text = Path(path).read_text(encoding='utf-8')
    reader = csv.reader(io.StringIO(text))
    lines = list(reader)
    if not lines or tuple(lines[0]) != COLUMNS:
        raise ValueError(
            f'{path}: expected the columns {", ".join(COLUMNS)}, got '
            f'{", ".join(lines[0]) if lines else "an empty file"}'
        )
    results: list[Result] = []
    for number, cells in enumerate(lines[1:], 2):
        try:
            result = to_result(dict(zip(COLUMNS, cells)))
            _check_new(result, results)
        except ValueError as error:
            raise ValueError(f'{path}, line {number}: {error}') from None
        results.append(result)
    return results


def to_result(row: dict[str, Any]) -> Result:
    """A row from its fields, as text or as numbers.

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
            values[field.name] = value
    return Result(**values)


def _number(name: str, text: str, whole: bool) -> float:
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        kind = 'a whole number' if whole else 'a number'
        raise ValueError(f'the field {name}: expected {kind}, got {text!r}') from None
    if not math.isfinite(value) or value < 0:
        raise ValueError(f'the field {name}: expected a finite number of at least 0, got {text!r}')
    return value


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
    """Runs that differ by their seed alone.

    Attributes:
        runs: At least one.
        control: Test scores of the random decoders of the same file; empty without any, and for
            these themselves.
    """

    runs: tuple[Result, ...]
    control: tuple[float, ...] = ()

    @property
    def first(self) -> Result:
        """The run that says what they have in common."""
        return self.runs[0]

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

    @property
    def improvement(self) -> float | None:
        """Test score relative to the mean of the random decoders, in percent (Yang et al.)."""
        if not self.control:
            return None
        base = statistics.fmean(self.control)
        return 100 * (statistics.fmean(self.test) - base) / base

    @property
    def p_value(self) -> float | None:
        """Two-sided rank test (Mann and Whitney) of the test scores against random decoders."""
        if not self.control:
            return None
        return float(mannwhitneyu(self.test, self.control, alternative='two-sided').pvalue)

    def row(self) -> Row:
        """The group as a row of `draw_comparison`: test scores, decoder parameters, speed."""
        name = f'{self.first.method}, {self.first.training}'
        return Row(
            name,
            metric=self.first.metric,
            scores=list(self.test),
            decoder_parameters=round(self.mean_of('decoder_parameters')),
            encoder_parameters=self.first.encoder_parameters,
            fps=1000 / self.mean_of('ms'),
        )


def group_results(results: Iterable[Result]) -> list[Group]:
    """Runs by what they have in common, the best mean on the test images first."""
    by_group: dict[tuple[str, str, int, int], list[Result]] = {}
    for result in results:
        by_group.setdefault(result.group, []).append(result)
    control = tuple(
        run.score_test for runs in by_group.values() for run in runs if run.method == CONTROL
    )
    groups = [
        Group(tuple(runs), () if runs[0].method == CONTROL else control)
        for runs in by_group.values()
    ]
    return sorted(groups, key=lambda group: (-statistics.fmean(group.test), group.first.group))
