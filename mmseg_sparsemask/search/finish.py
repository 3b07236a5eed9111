"""The end of a search: everything that it leaves, and what the log says of it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from mmengine.logging import print_log

from mmseg_sparsemask.connectivity import Connectivity, save
from mmseg_sparsemask.connectivity.budget import KINDS
from mmseg_sparsemask.connectivity.draw import draw_graph
from mmseg_sparsemask.connectivity.prune import drop_unreachable
from mmseg_sparsemask.models.decode_heads import FDNHead
from mmseg_sparsemask.models.inheritance import pruned_head
from mmseg_sparsemask.report import FrontRecord, read_front, search_page, write_page
from mmseg_sparsemask.search.budget_record import budget_files, budget_lines, draw_budget
from mmseg_sparsemask.search.derived import write_finetune, write_retrain
from mmseg_sparsemask.search.pruned_file import largest_difference, write_pruned
from mmseg_sparsemask.search.record import Search
from mmseg_sparsemask.search.tables import (
    comparison_table,
    draw_connection_weights,
    nothing_pruned,
    search_record,
    steps_after,
    summary_table,
)
from mmseg_sparsemask.search.validation import evaluating
from mmseg_sparsemask.utils.figures import save_figure
from mmseg_sparsemask.utils.repeatable import weights_digest
from mmseg_sparsemask.utils.tool_command import tool_command

#: Files that a search may leave, those that cost most first.
RESULTS = (
    'pruned.pth',
    'connectivity.json',
    'retrain.py',
    'finetune.py',
    'connectivity.svg',
    'connection_weights.svg',
    'report.html',
    'budget.svg',
    *(f'budget_{kind}.svg' for kind in KINDS),
)


def finish(search: Search, connectivity: Connectivity, out_dir: str | os.PathLike[str]) -> str:
    """Write everything that a search leaves.

    Args:
        search: The record of the search.
        connectivity: What is left of its supernet: `Search.prune`.
        out_dir: An existing folder.

    Returns:
        What people are told: tables, what was written, and the commands that come next.

    Raises:
        ValueError: A file cannot be written.
    """
    head, settings, folder = search.head, search.settings, Path(out_dir)
    with evaluating(head):
        pruned = pruned_head(head, connectivity)
        # A decoder of one's own choice may end elsewhere than the supernet.
        reaching = drop_unreachable(head.connectivity, connectivity.end)
        with head.cut_to(Connectivity.from_connections(connectivity.strides, reaching)):
            difference = largest_difference(head, pruned)
    written: list[str] = []
    notes: list[str] = []

    def write(name: str, writer: Callable[[Path], object]) -> None:
        writer(folder / name)
        written.append(name)

    def write_config(name: str, writer: Callable[[Path], object]) -> None:
        try:
            write(name, writer)
        except Exception as error:  # a config is a program, and may have changed since the start
            later = tool_command('prune')
            notes.append(f'{name} was not written, {error}; {later} can write it later')

    write('pruned.pth', lambda path: write_pruned(path, search, pruned, difference))
    write('connectivity.json', lambda path: save(connectivity, path))
    if settings.retrain_config:
        write_config('retrain.py', lambda path: write_retrain(path, connectivity, settings))
    if settings.retrain_config or settings.finetune_config:
        write_config('finetune.py', lambda path: write_finetune(path, head, connectivity, settings))
    write('connectivity.svg', lambda path: save_figure(draw_graph(connectivity), path))
    figure = draw_connection_weights(search, connectivity)
    write('connection_weights.svg', lambda path: save_figure(figure, path))
    for name, budget in budget_files(head).items():
        write(name, partial(save_figure, draw_budget(search, budget)))
    steps = steps_after(folder, written)
    page = search_page(search_record(search, connectivity, steps, _front_of(head, folder)))
    write('report.html', lambda path: write_page(page, path))
    if advice := nothing_pruned(search, connectivity):
        print_log(advice, logger='current', level=logging.WARNING)
    lines = [
        summary_table(head, connectivity),
        search.status().gap(),
        comparison_table(search, connectivity, difference),
        *budget_lines(head, connectivity),
        f'written to {out_dir}: {", ".join(written)}',
        *notes,
        *(f'{step.purpose}: {step.command}' for step in steps),
    ]
    return '\n'.join(lines)


def _front_of(head: FDNHead, folder: Path) -> FrontRecord | None:
    """The front that tools/front.py has made of this very supernet, if there is one."""
    try:
        front = read_front(folder / 'front')
    except (OSError, ValueError) as error:  # the end of a search does not fail for it
        print_log(f'report.html does not show the front: {error}', 'current')
        return None
    return front if front and front.of == weights_digest(head) else None
