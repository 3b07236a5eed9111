"""The page of a search for dense prediction cells: cells, front and history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from mmseg_sparsemask.report.page import Step, render


@dataclass(frozen=True)
class CellRecord:
    """A cell that was tried.

    Attributes:
        number: Number of the trial.
        score: Proxy score.
        parameters: Weights of the branches.
        multiply_adds: Multiply-adds of the branches.
        branches: (input, operation) of each; an input is -1 for the backbone's feature or the
            number of an earlier branch.
        feasible: Whether all bounds are kept.
    """

    number: int
    score: float
    parameters: int
    multiply_adds: int
    branches: Sequence[tuple[int, str]]
    feasible: bool = True


@dataclass(frozen=True)
class StudyRecord:
    """What a search for cells leaves, as plain data.

    Attributes:
        name: Name of the study.
        cells: In the order of their trials; at least one.
        score_name: Such as ``'proxy mIoU'``.
        commands: What to run next.
    """

    name: str
    cells: Sequence[CellRecord]
    score_name: str = 'proxy mIoU'
    commands: Sequence[Step] = ()


def study_page(record: StudyRecord) -> str:
    """The page as HTML.

    Raises:
        ValueError: No cell, or a number that is not finite.
    """
    if not record.cells:
        raise ValueError('cells: expected at least one finished cell, got none')
    data = {'score_name': record.score_name, 'cells': [asdict(cell) for cell in record.cells]}
    ranked = sorted(record.cells, key=lambda c: (not c.feasible, -c.score, c.parameters, c.number))
    best, *others = ranked
    ties = [c.number for c in others if (c.feasible, c.score) == (best.feasible, best.score)]
    return render('study.html.jinja', data, record=record, ranked=ranked, ties=sorted(ties))
