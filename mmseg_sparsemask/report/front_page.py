"""The pages of a front: a slider over cost, and each point with what its connections are worth."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mmseg_sparsemask.connectivity.graph import (
    GLOBAL,
    Connectivity,
    encoder_name,
    stage_name,
)
from mmseg_sparsemask.report.page import Step, render
from mmseg_sparsemask.utils.files import read_json, write_atomically

#: Beside the table of a front: what its pages show.
FRONT_FILE = 'front.json'


@dataclass(frozen=True)
class ConnectionChange:
    """What becomes of a score when a single connection is cut, or added.

    Attributes:
        source: Where the connection starts.
        stage: Where it ends.
        kept: Whether the decoder has it: then it is cut, else added.
        score: Change of the score, in points; None where nothing would be left.
        classes: Change for each class, in points; None where it does not occur.
    """

    source: str
    stage: str
    kept: bool
    score: float | None
    classes: Sequence[float | None] = ()

    @property
    def text(self) -> str:
        """The change with its sign."""
        return 'all' if self.score is None else _signed(self.score)

    @property
    def class_texts(self) -> list[str]:
        """What is shown of each class."""
        return ['–' if value is None else _signed(value) for value in self.classes]


@dataclass(frozen=True)
class FrontPoint:
    """A decoder of a front.

    Attributes:
        name: Its name.
        strides: Strides of the encoder features.
        inputs: Sources of each stage.
        cost: In the unit of the front, above 0.
        score: What is drawn over the cost.
        score_name: Its name.
        numbers: What else is known of it, by name, as text.
        commands: What can be done with it.
        changes: What each connection is worth, if that was computed.
        classes: Names of the classes, for the changes.
    """

    name: str
    strides: Sequence[int]
    inputs: Mapping[str, Sequence[str]]
    cost: float
    score: float
    score_name: str
    numbers: Mapping[str, str]
    commands: Sequence[Step] = ()
    changes: Sequence[ConnectionChange] = ()
    classes: Sequence[str] = ()

    @property
    def connectivity(self) -> Connectivity:
        """The decoder as a graph."""
        return Connectivity(tuple(self.strides), self.inputs)

    @property
    def stages(self) -> list[tuple[str, int | None, str]]:
        """For each stage, from coarse to fine, name, stride and inputs."""
        graph = self.connectivity
        return [(s, graph.stride_of(s), ' '.join(inputs)) for s, inputs in graph.stages.items()]

    @property
    def ranked(self) -> list[ConnectionChange]:
        """The changes, the largest first."""
        return sorted(
            self.changes, key=lambda c: -abs(c.score or 0) if c.score is not None else -1e9
        )

    @property
    def drawing(self) -> dict[str, Any]:
        """Where nodes and lines of the graph are, in units of its picture."""
        graph = self.connectivity
        levels = range(1, graph.num_levels + 1)
        place = {encoder_name(level): (90, 40 * level) for level in levels}
        place |= {stage_name(level): (300, 40 * level) for level in levels}
        place[GLOBAL] = (90, 40 * graph.num_levels + 70)
        alive = {*graph.sources(), *graph.stages}
        lines = []
        for source, stage in graph:
            (x1, y1), (x2, y2) = place[source], place[stage]
            bend = 345 + abs(y1 - y2) // 5
            path = f'M{x1 + 18},{y1}L{x2 - 18},{y2}'
            if source[0] == 'D':
                path = f'M{x1 + 18},{y1 - 5}C{bend},{y1 - 5} {bend},{y2 + 5} {x2 + 18},{y2 + 5}'
            lines.append({'path': path, 'hue': _hue(source), 'name': f'{source} → {stage}'})
        end = place[graph.end][1] - 5
        lines.append({'path': f'M318,{end}H380', 'hue': _hue(graph.end), 'name': graph.end})
        nodes = [
            {
                'name': name,
                'x': x,
                'y': y,
                'on': name in alive,
                'hue': _hue(name),
                'stride': graph.stride_of(name) if name[0] == 'E' else None,
            }
            for name, (x, y) in place.items()
        ]
        height = 40 * graph.num_levels + 100
        return {'lines': lines, 'nodes': nodes, 'height': height, 'exit': end, 'label': str(graph)}

    @property
    def heat(self) -> dict[str, Any] | None:
        """A table of the changes, stages by sources; None without changes."""
        if not self.changes:
            return None
        by_name = {(change.source, change.stage): change for change in self.changes}
        largest = max([abs(c.score) for c in self.changes if c.score is not None] or [1.0]) or 1.0
        count = len(self.strides)
        sources = [*map(encoder_name, range(1, count + 1)), GLOBAL]
        sources += map(stage_name, range(2, count + 1))
        rows = []
        for stage in map(stage_name, range(1, count + 1)):
            cells = [_cell(by_name.get((source, stage)), largest) for source in sources]
            if any(cells):
                rows.append((stage, cells))
        return {'sources': sources, 'rows': rows}


def _signed(change: float) -> str:
    """A change in points; one that would be written as nothing has no sign."""
    return '0.0' if abs(change) < 0.05 else f'{change:+.1f}'


def _cost(cost: float) -> str:
    """A cost for people: whole from a thousand on."""
    return f'{cost:,.0f}' if cost >= 1000 else f'{cost:.4g}'


def _hue(name: str) -> str:
    return {'E': 'encoder', 'D': 'decoder'}.get(name[0], 'global')


def _cell(change: ConnectionChange | None, largest: float) -> dict[str, Any] | None:
    if change is None:
        return None
    score = change.score
    shade = 0.6 if score is None else 0.6 * abs(score) / largest
    down = score is None or score < 0
    return {'text': change.text, 'kept': change.kept, 'down': down, 'shade': f'{shade:.2f}'}


@dataclass(frozen=True)
class FrontRecord:
    """A front, as plain data.

    Attributes:
        name: Title of its page.
        unit: Of the costs.
        points: The cheapest first; at least one.
        notes: What has to be said of the scores.
        of: What the supernets are, so that a front of others is not taken for theirs.
        commands: What to run next, whatever the point.
    """

    name: str
    unit: str
    points: Sequence[FrontPoint]
    notes: Sequence[str] = ()
    of: str = ''
    commands: Sequence[Step] = ()

    def script_data(self) -> list[dict[str, Any]]:
        """What the page's script needs of each point."""
        return [
            {
                'cost': float(point.cost),
                'score': float(point.score),
                'label': f'{_cost(point.cost)} {self.unit}, {point.score_name} {point.score:.4g}',
            }
            for point in self.points
        ]

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write it beside the table of the front, whole or not at all; changes without classes."""
        points = [
            replace(point, changes=[replace(change, classes=()) for change in point.changes])
            for point in self.points
        ]
        content = json.dumps(asdict(replace(self, points=points)))
        write_atomically(Path(folder) / FRONT_FILE, content)


def read_front(folder: str | os.PathLike[str]) -> FrontRecord | None:
    """The record of the front in a folder; None if there is none.

    Raises:
        ValueError: The file holds something else.
    """
    path = Path(folder) / FRONT_FILE
    if not path.is_file():
        return None
    data = read_json(path)
    try:
        points = [
            FrontPoint(
                **{
                    **point,
                    'commands': [Step(**step) for step in point['commands']],
                    'changes': [ConnectionChange(**change) for change in point['changes']],
                }
            )
            for point in data['points']
        ]
        return FrontRecord(data['name'], data['unit'], points, data['notes'], data['of'])
    except (KeyError, TypeError) as error:
        raise ValueError(f'{path}: expected the record of a front ({error!r})') from None


def front_page(record: FrontRecord) -> str:
    """The page of a front as HTML.

    Raises:
        ValueError: No point, a graph that is none, or a number that is not finite.
    """
    if not record.points:
        raise ValueError('points: expected at least one point of a front, got none')
    return render('front.html.jinja', {'front': record.script_data()}, record=record)


def point_page(record: FrontRecord, point: FrontPoint) -> str:
    """The page of one point as HTML: what each connection is worth, by class, too.

    Raises:
        ValueError: A graph that is none.
    """
    alone = FrontRecord(point.name, record.unit, [point])
    return render('point.html.jinja', {}, record=alone, point=point)
