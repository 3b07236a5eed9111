"""The table of a front: a row for each of its decoders, of which a budget picks one."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from mmseg_sparsemask.report import Step
from mmseg_sparsemask.search.tables import steps_after
from mmseg_sparsemask.utils.checks import check_printable
from mmseg_sparsemask.utils.files import csv_text, write_atomically
from mmseg_sparsemask.utils.tool_command import tool_command

TABLE = 'front.csv'

#: What a point can be picked by; `cost` is in the unit that the front was asked for.
BUDGETS = ('parameters', 'multiply_adds', 'milliseconds', 'cost')


@dataclass(frozen=True)
class Point:
    """A decoder of a front, as a row of its table.

    Attributes:
        folder: Of its files, as seen from the table.
        supernet: What it is a part of.
        connections: Their number.
        end: The stage that feeds the classifier.
        parameters: Parameters of the decoder.
        multiply_adds: Multiply-adds of the decoder, for one image of the size it was scored on.
        encoder_multiply_adds: Those of the encoder, if they can be counted.
        milliseconds: Time of the decoder by the latency table, if there is one.
        cost: In the unit that the front was asked for; where several supernets join, of the whole
            network.
        loss: On the images held back, with inherited weights.
        miou: On the same images, in percent.
        connectivity: The graph.
        random_loss: Mean loss of random decoders with both costs, if they were scored; after such a
            training where points are ranked by it.
        val: Validation score of ``pruned.pth``, if it was validated.
        trained_loss: On the images held back, after a short training, if that is what the points
            are ranked by.
    """

    folder: str
    supernet: str
    connections: int
    end: str
    parameters: int
    multiply_adds: int
    encoder_multiply_adds: int | None
    milliseconds: float | None
    cost: float
    loss: float
    miou: float
    connectivity: str
    random_loss: float | None = None
    val: float | None = None
    trained_loss: float | None = None

    @property
    def rank_loss(self) -> float:
        """What it is ranked by."""
        return self.loss if self.trained_loss is None else self.trained_loss

    def path(self, front: Path) -> Path:
        """Its folder, from that of the table."""
        return Path(os.path.normpath(front / self.folder))

    def steps(self, front: Path) -> list[Step]:
        """What can be done with it, from the folder of the table."""
        folder = self.path(front)
        return steps_after(folder, [path.name for path in sorted(folder.iterdir())])


def write_table(points: Sequence[Point], folder: Path) -> None:
    """Write ``front.csv``, whole or not at all."""
    header = [item.name for item in fields(Point)]
    rows = [asdict(point).values() for point in points]
    write_atomically(folder / TABLE, csv_text(header, rows))


def read_points(folder: str | os.PathLike[str]) -> list[Point]:
    """The table of a front.

    Raises:
        ValueError: There is none, or something else.
    """
    path = Path(folder) / TABLE
    try:
        rows = list(csv.DictReader(path.read_text(encoding='utf-8').splitlines()))
        kinds = {field.name: _KINDS[str(field.type)] for field in fields(Point)}
        # Tables of before the short trainings lack their column.
        rows = [{'trained_loss': '', **row} for row in rows]
        return [Point(**{name: kind(row[name]) for name, kind in kinds.items()}) for row in rows]
    except OSError:
        maker = tool_command('front')
        raise ValueError(f'{path}: there is no front; {maker} makes one') from None
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f'{path}: expected the table of a front ({error!r})') from None


_KINDS: dict[str, Callable[[str], Any]] = {
    'str': partial(check_printable, 'a field'),
    'int': int,
    'float': float,
    'int | None': lambda text: int(text) if text else None,
    'float | None': lambda text: float(text) if text else None,
}


def pick(points: Sequence[Point], kind: str, limit: float) -> Point:
    """The point of least loss within a budget.

    Args:
        points: Points of a front.
        kind: One of `BUDGETS`.
        limit: The most it may cost.

    Raises:
        ValueError: None is within the budget; the message names the range.
    """
    known = [point for point in points if getattr(point, kind) is not None]
    if not known:
        raise ValueError(f'{kind}: the front has none; {tool_command("front")} --table gives them')
    costs = [getattr(point, kind) for point in known]
    within = [point for point, cost in zip(known, costs) if cost <= limit]
    if not within:
        raise ValueError(
            f'{kind}={limit:,.10g}: expected at least {min(costs):,.10g}, the cheapest of the '
            f'front (the most expensive has {max(costs):,.10g})'
        )
    return min(within, key=lambda point: point.rank_loss)


def picked(search: str, budget: str, front: Path | None = None) -> str:
    """What users are told of the point that a budget picks from the front of a search.

    Args:
        search: Work directory, or a checkpoint in it.
        budget: ``'parameters=150000'``.
        front: Folder of the front; None for ``front`` in the work directory.

    Raises:
        ValueError: No front, no such budget, or no point within it.
    """
    kind, _, limit = budget.partition('=')
    try:
        wanted = float(limit)
    except ValueError:
        wanted = 0.0
    if kind not in BUDGETS or not wanted > 0:
        raise ValueError(
            f'--budget: expected one of {", ".join(BUDGETS)}, =, a number; got {budget}'
        )
    path = Path(search)
    folder = front or (path if path.is_dir() else path.parent) / 'front'
    point = pick(read_points(folder), kind, wanted)
    config = point.path(folder) / 'finetune.py'
    return (
        f'{point.connectivity}\n{point.parameters:,} parameters, {point.multiply_adds:,} '
        f'multiply-adds, loss {point.rank_loss} on images held back'
        + (f'\ntrain it further: {tool_command("train", config)}' if config.is_file() else '')
    )
