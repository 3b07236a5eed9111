"""Scores that runs left in their work directories, and which checkpoint each of them is of."""

from __future__ import annotations

import ast
import json
import math
from dataclasses import dataclass
from pathlib import Path

#: What a run is compared by, as its log has it and as the table names it; the first that is there.
HEADLINES = {'mIoU': 'mIoU', 'edge/ODS': 'ODS', 'saliency/max_f': 'max F'}


@dataclass(frozen=True)
class Score:
    """A score found in a work directory.

    Attributes:
        value: mIoU in percent; ODS and max F lie in [0, 1].
        source: What it was measured on: ``'test'``, or ``'val at 400'`` during the training.
        metric: Its name in the table.
        checkpoint: Path of the checkpoint that was tested, as the test was given it; empty for a
            validation, and where the run did not say.
    """

    value: float
    source: str
    metric: str = 'mIoU'
    checkpoint: str = ''

    @property
    def title(self) -> str:
        """What it was measured on, with the checkpoint's name."""
        return f'{self.source} of {Path(self.checkpoint).name}' if self.checkpoint else self.source


def find_score(work_dir: Path) -> Score | None:
    """The latest score (`HEADLINES`) of a work directory; a test before a validation."""
    found = find_tests(work_dir) or find_validations(work_dir)
    return found[-1] if found else None


def find_tests(work_dir: Path) -> list[Score]:
    """Scores of tests, the latest last.

    They are looked for in the folder ``test`` as well, where the commands of the docs put them.
    """
    return [
        Score(value, 'test', name, _tested_checkpoint(run))
        for run in _runs(work_dir)
        for path in sorted(run.glob('*.json'))
        for value, name, _ in _scores(path)
    ]


def find_validations(work_dir: Path) -> list[Score]:
    """Scores of validations during a training, the latest last."""
    return [
        Score(value, 'val' if step is None else f'val at {step}', name)
        for run in _runs(work_dir)
        for value, name, step in _scores(run / 'vis_data/scalars.json')
    ]


def _runs(work_dir: Path) -> list[Path]:
    folders = [*work_dir.glob('*'), *work_dir.glob('test/*')]
    return sorted((path for path in folders if path.is_dir()), key=lambda path: path.name)


def _tested_checkpoint(run: Path) -> str:
    """``load_from`` of the config that a run left beside its log; it is read, not executed."""
    try:
        content = ast.parse((run / 'vis_data/config.py').read_text(encoding='utf-8'))
    except (OSError, ValueError, SyntaxError):
        return ''
    for node in content.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == 'load_from':
            if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
                return node.value.value
    return ''


def _scores(path: Path) -> list[tuple[float, str, int | None]]:
    """The scores in a log: value, name in the table, iteration."""
    if not path.is_file():
        return []
    scores = []
    for line in path.read_text(encoding='utf-8').splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue  # a line that a killed run did not finish
        if not isinstance(record, dict):
            continue
        key = next((key for key in HEADLINES if key in record), '')
        value = record.get(key)
        if isinstance(value, (int, float)) and math.isfinite(value):
            scores.append((value, HEADLINES[key], record.get('step')))
    return scores
