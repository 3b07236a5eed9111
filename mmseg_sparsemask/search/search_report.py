"""The page that a search leaves: report.html."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmseg_sparsemask.connectivity import Connectivity
from mmseg_sparsemask.models.decode_heads import FDNHead
from mmseg_sparsemask.report import SearchRecord, Step, search_page, write_page
from mmseg_sparsemask.search.pruning import WeightHistory, command_steps
from mmseg_sparsemask.search.validation import numbers_of

#: Where the scores are kept in the message hub, and so in checkpoints.
SCORES_KEY = 'validation_scores'

#: Multiply-adds are counted for an image of this size, as in the paper's tables.
IMAGE_SIZE = (512, 512)


def main_score(metrics: Mapping[str, float]) -> tuple[str, float] | None:
    """The number that a page shows of a validation: mIoU, or the first there is."""
    found = numbers_of(metrics)
    numbers = {name: value for name, value in found.items() if not name.endswith('time')}
    for name in ('mIoU', *numbers):
        if name in numbers:
            return name, numbers[name]
    return None


def write_search_report(
    head: FDNHead,
    connectivity: Connectivity,
    out_dir: str | os.PathLike[str],
    history: WeightHistory,
    threshold: float,
    merge: bool,
    files: Sequence[Path],
    title: str,
    scores: Sequence[tuple[int, str, float]] = (),
) -> list[Path]:
    """Write report.html.

    Args:
        head: The supernet.
        connectivity: What is left of it.
        out_dir: An existing folder.
        history: Weights over the search; without any the present ones stand alone.
        threshold: On the connection weights.
        merge: Whether stages were merged.
        files: What else was written there: the commands to go on depend on it.
        title: Of the page.
        scores: (iteration, name, value) of validations. Those of the last one's name are shown.

    Returns:
        The file written.
    """
    weights = head.connection_weights()
    steps, rows = history.steps, history.weights
    if not steps:
        steps, rows = [0], [list(weights.values())]
    name = scores[-1][1] if scores else 'score'
    record = SearchRecord(
        name=title,
        connectivity=connectivity,
        strides=head.connectivity.strides,
        connections=list(weights),
        steps=steps,
        weights=rows,
        threshold=threshold,
        merge=merge,
        costs=head.shape.part_costs(head.connectivity, IMAGE_SIZE),
        image_size=IMAGE_SIZE,
        budgets={budget.kind: budget.limit for budget in head.budgets},
        scores=[(step, value) for step, key, value in scores if key == name],
        score_name=name,
        commands=[Step(command, why) for why, command in command_steps(out_dir, files)],
    )
    return [write_page(search_page(record), Path(out_dir) / 'report.html')]
