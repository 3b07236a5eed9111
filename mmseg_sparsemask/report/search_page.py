"""The page of a decoder search: graph, sliders over time and threshold, cost and score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mmseg_sparsemask.connectivity.cost import ConnectionCosts, PartCosts
from mmseg_sparsemask.connectivity.graph import Connection, Connectivity, end_of
from mmseg_sparsemask.report.front_page import FrontRecord
from mmseg_sparsemask.report.page import Step, render, thinned


@dataclass(frozen=True)
class SearchRecord:
    """What a search leaves, as plain data.

    Attributes:
        name: Title of the page, such as the experiment's name.
        connectivity: What was kept in the end.
        strides: Stride of ``E1`` .. ``EL``.
        connections: Connections of the search space, in the order of the records.
        steps: Training iterations, ascending; at least one.
        weights: For each step, the weight in [0, 1] of every connection.
        threshold: That the search was pruned with, in (0, 1).
        merge: Whether stages were merged after pruning, too.
        costs: Costs of every connection and stage of the search space.
        image_size: (height, width) in pixels that the multiply-adds are counted for.
        budgets: Limit by ``'parameters'``, ``'multiply_adds'`` or ``'latency'`` (ms).
        scores: (iteration, score) of each validation.
        score_name: Such as ``'mIoU'``.
        settings: Further rows for the table of settings.
        commands: What to run next.
        front: The front of the search's supernet, if it was made.
    """

    name: str
    connectivity: Connectivity
    strides: Sequence[int]
    connections: Sequence[Connection]
    steps: Sequence[int]
    weights: Sequence[Sequence[float]]
    threshold: float
    merge: bool
    costs: ConnectionCosts
    image_size: tuple[int, int]
    budgets: Mapping[str, float] = field(default_factory=dict)
    scores: Sequence[tuple[int, float]] = ()
    score_name: str = 'score'
    settings: Mapping[str, str] = field(default_factory=dict)
    commands: Sequence[Step] = ()
    front: FrontRecord | None = None


def search_page(record: SearchRecord) -> str:
    """The page as HTML.

    Raises:
        ValueError: No record, weights that do not fit the connections, a number that is not finite.
    """
    connections = list(record.connections)
    if not record.steps or {len(row) for row in record.weights} != {len(connections)}:
        raise ValueError(
            f'weights: expected {len(connections)} numbers for each of {len(record.steps)} (at '
            'least one) steps'
        )
    if len(record.steps) != len(record.weights):
        raise ValueError(
            f'weights: expected {len(record.steps)} records, one a step, got {len(record.weights)}'
        )
    shown = thinned(len(record.steps), len(connections))
    data = {
        'strides': list(record.strides),
        'end': end_of(connections),
        'connections': [list(connection) for connection in connections],
        'steps': [int(record.steps[place]) for place in shown],
        'weights': [[float(w) for w in record.weights[place]] for place in shown],
        'threshold': record.threshold,
        'thresholds': threshold_choices(record.threshold),
        'parameters': _costs(record.costs.parameters, connections),
        'multiply_adds': _costs(record.costs.multiply_adds, connections),
        'budgets': dict(record.budgets),
        'scores': [[int(step), float(score)] for step, score in record.scores],
        'score_name': record.score_name,
        'front': record.front.script_data() if record.front else [],
    }
    return render(
        'search.html.jinja',
        data,
        record=record,
        parameters=int(record.costs.parameters.total(record.connectivity)),
        multiply_adds=int(record.costs.multiply_adds.total(record.connectivity)),
        omitted=len(record.steps) - len(shown),
    )


def threshold_choices(used: float) -> list[float]:
    """What the slider offers: ten a decade from 1e-6 to below 1, and the one that was used."""
    grid = {float(f'{10 ** (tenth / 10):.3g}') for tenth in range(-60, 0)}
    return sorted(grid | {used})


def _costs(costs: PartCosts, connections: Sequence[Connection]) -> dict[str, object]:
    return {
        'connections': [float(costs.connections[c]) for c in connections],
        'stages': {stage: float(cost) for stage, cost in costs.stages.items()},
        'fixed': float(costs.fixed),
    }
