"""The loss that brings a search to a budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_sparsemask.connectivity import Connection, Connectivity, DecoderShape
from mmseg_sparsemask.connectivity.budget import (
    FULL_ENOUGH,
    KINDS,
    Budget,
    check_limit,
    fit_budgets,
    refill,
)
from mmseg_sparsemask.connectivity.cost import PartCosts, check_image_size
from mmseg_sparsemask.connectivity.graph import end_of
from mmseg_sparsemask.connectivity.latency import LARGEST_ERROR, LatencyTable
from mmseg_sparsemask.connectivity.prune import (
    DEFAULT_THRESHOLD,
    Connections,
    drop_unreachable,
    keep_above,
)
from mmseg_sparsemask.models.losses.controller import ControllerState, NuPI
from mmseg_sparsemask.models.losses.ramp import check_ramp, ramp_factor
from mmseg_sparsemask.models.run_state import belongs_to_run
from mmseg_sparsemask.utils.tool_command import tool_command

#: A weight below this is held up where the budget has room for its connection.
NEARLY_GONE = 0.1


@MODELS.register_module()
class BudgetLoss(nn.Module):
    """Expected cost of what the budget has no room for, times a multiplier that a controller sets.

    In each training pass, with T the target, which comes down from the cost of the full network to
    the budget B:

    1. C is the cost of the decoder that pruning would give now. The error ``C / T - 1`` drives the
       multiplier lambda (`NuPI`).
    2. The decoder that the largest weights give within T is left alone (`fit_budgets`), with what
       there is still room for, the largest weight first (`refill`).
    3. The loss is ``lambda * sum w c / mean(c)`` over all other connections, c their costs; what is
       to stay but is nearly gone counts with the opposite sign.

    So the weights that go are at 0 when the search ends; and however large lambda has become, what
    fits is not pushed, so the decoder does not fall far below B either.

    Args:
        budget: ``dict(parameters=...)``, ``dict(multiply_adds=..., image_size=(height, width))``,
            or ``dict(latency=milliseconds, table=path)`` with a file of tools/latency_table.py, or
            the content of one; there ``image_size``, ``device`` and ``threads``, if given, must be
            the table's, and its mean error at most ``largest_error`` (0.2).
        ramp: Iterations (first, last) between which the target comes down to the budget.
        controller: Arguments of `NuPI`.
        threshold: Connections of smaller weight count as pruned: the threshold of `PruneHook`.
        loss_name: In the logs; starts with ``loss_``.

    Raises:
        ValueError: An argument out of its range, or a table that cannot be read.
    """

    step: Tensor
    multiplier: Tensor
    smoothed: Tensor
    kept: Tensor

    def __init__(
        self,
        budget: Mapping[str, Any],
        ramp: Sequence[int] = (0, 0),
        controller: Mapping[str, float] | None = None,
        threshold: float = DEFAULT_THRESHOLD,
        loss_name: str = 'loss_budget',
    ) -> None:
        super().__init__()
        self.kind, self.limit, self.options = _read_budget(budget)
        self.table = _read_table(self.options['table']) if self.kind == 'latency' else None
        if not 0 < threshold < 1:
            raise ValueError(f'threshold: expected a number in (0, 1), got {threshold}')
        self.ramp = check_ramp(ramp)
        self.controller = NuPI(**(controller or {}))
        self.threshold = threshold
        self.loss_name = loss_name
        self.register_buffer('step', torch.zeros((), dtype=torch.int64))
        self.register_buffer('multiplier', torch.zeros((), dtype=torch.float64))
        self.register_buffer('smoothed', torch.zeros((), dtype=torch.float64))
        belongs_to_run(self, 'step', 'multiplier', 'smoothed', 'kept')
        self._budget: Budget | None = None

    def set_costs(self, connectivity: Connectivity, shape: DecoderShape) -> None:
        """Take the search space's costs; the head calls this once, when it is built.

        Args:
            connectivity: The search space.
            shape: Shape of the supernet.

        Raises:
            ValueError: The budget is below the cheapest decoder, or the table is another head's.
        """
        costs: PartCosts
        if self.table is not None:
            wanted = {key: value for key, value in self.options.items() if key != 'table'}
            self.table.check(connectivity, shape, **wanted)
            costs = self.table.costs
        else:
            size = self.options.get('image_size', (512, 512))
            counted = shape.part_costs(connectivity, size)
            costs = getattr(counted, self.kind)
        costs = costs.within(connectivity)
        self._budget = Budget(self.kind, self.limit, costs)
        if self._budget.full <= self.limit:
            print_log(
                f'BudgetLoss: the full network costs {self._budget.write(self._budget.full)}, '
                f'within the budget of {self._budget.write(self.limit)}: there is nothing to do',
                logger='current',
                level=30,
            )
        portions = {c: costs.portion(c) for c in connectivity}
        mean = sum(portions.values()) / len(portions)
        # A stage that falls with its inputs is paid for by them.
        self._pressure = {
            c: (portions[c] + costs.stages[c.stage] / len(connectivity.stages[c.stage])) / mean
            for c in connectivity
        }
        self._stages = dict(connectivity.stages)
        self._order = connectivity.connections
        self.register_buffer('kept', torch.ones(len(self._order), dtype=torch.bool))

    @property
    def budget(self) -> Budget:
        """The budget with the costs of the search space.

        Raises:
            RuntimeError: `set_costs` has not been called.
        """
        if self._budget is None:
            raise RuntimeError('BudgetLoss: expected set_costs() before the first use')
        return self._budget

    @property
    def target(self) -> float:
        """What the decoder should cost at the present iteration."""
        full, limit = self.budget.full, self.budget.limit
        return max(limit, full + (limit - full) * ramp_factor(int(self.step), self.ramp))

    def forward(self, weights: Mapping[str, Tensor]) -> Tensor:
        """Scalar, in float32 or better. In training, the controller makes a step.

        Args:
            weights: Connection weights in [0, 1] of each stage, (n_l,).
        """
        now = {
            Connection(source, stage): weight
            for stage, values in weights.items()
            for source, weight in zip(self._stages[stage], values.detach().double().tolist())
        }
        target = self.target
        if self.training:
            above = (c for c, weight in now.items() if weight >= self.threshold)
            alive = drop_unreachable(above, end_of(now))
            state = self.controller.step(
                ControllerState(float(self.multiplier), float(self.smoothed)),
                self.budget.costs.total(alive) / target - 1,
            )
            self.multiplier.fill_(state.multiplier)
            self.smoothed.fill_(state.smoothed)
            self.step.add_(1)
        kept = self._what_fits(now, replace(self.budget, limit=target))
        total: Any = 0
        for stage, values in weights.items():
            connections = [Connection(source, stage) for source in self._stages[stage]]
            pressure = [self._pressure[c] * _direction(c in kept, now[c]) for c in connections]
            values = values.to(torch.promote_types(values.dtype, torch.float32))
            total = total + (values * values.new_tensor(pressure)).sum()
        return float(self.multiplier) * total

    def _what_fits(self, weights: Mapping[Connection, float], budget: Budget) -> Connections:
        """What is left alone in this pass: as before if that still fits, else chosen anew.

        Weights that sink together differ by noise alone: if the choice were always new, others
        would be left alone in each pass, and in the end nobody.
        """
        kept = frozenset(c for c, flag in zip(self._order, self.kept.tolist()) if flag)
        alive = all(weights[c] >= self.threshold for c in kept)
        enough = FULL_ENOUGH * budget.limit
        if kept and alive and enough <= budget.costs.total(kept) <= budget.limit:
            return kept
        kept = fit_budgets(weights, [budget], self.threshold)
        # An expensive connection that has to go takes no cheap one of smaller weight along.
        above = keep_above(weights, self.threshold)
        kept = refill(kept, above, weights, [budget])
        if budget.costs.total(kept) < enough:
            # What has gone too far comes back.
            kept = refill(kept, weights, weights, [budget])
        if self.training:
            self.kept.copy_(torch.tensor([c in kept for c in self._order]))
        return kept

    def budget_as_data(self) -> dict[str, Any]:
        """The budget in plain values, with the content of its table in the place of a path."""
        table = {} if self.table is None else {'table': self.table.to_dict()}
        return {self.kind: self.limit, **self.options, **table}

    def extra_repr(self) -> str:
        """Arguments, for printing."""
        return f'{self.kind}={self.limit}, ramp={self.ramp}, {self.controller}'


def _direction(is_kept: bool, weight: float) -> int:
    """1 for what goes, 0 for what stays, -1 for what is to stay and is nearly gone."""
    if not is_kept:
        return 1
    return -1 if weight < NEARLY_GONE else 0


def _read_table(table: Any) -> LatencyTable:
    """A latency table by its path, or from the content of its file."""
    return LatencyTable.from_dict(table) if isinstance(table, Mapping) else LatencyTable.load(table)


def _read_budget(budget: Mapping[str, Any]) -> tuple[str, float, dict[str, Any]]:
    """Kind, limit and options of a budget in a config."""
    options = dict(budget) if isinstance(budget, Mapping) else {}
    kinds = [key for key in options if key in KINDS]
    allowed = {
        'parameters': set(),
        'multiply_adds': {'image_size'},
        'latency': {'table', 'image_size', 'device', 'threads', 'largest_error'},
    }
    if len(kinds) != 1 or set(options) - {kinds[0]} - allowed[kinds[0]]:
        raise ValueError(
            'budget: expected dict(parameters=...), dict(multiply_adds=..., image_size=(height, '
            f'width)) or dict(latency=milliseconds, table=path), got {budget!r}'
        )
    kind = kinds[0]
    limit = options.pop(kind)
    check_limit(kind, limit)
    if kind == 'multiply_adds' and 'image_size' not in options:
        raise ValueError(
            'budget: multiply-adds depend on the size of the image; expected also '
            'image_size=(height, width), in pixels'
        )
    table = options.get('table', '')
    if kind == 'latency' and not isinstance(table, Mapping) and not Path(table).is_file():
        raise ValueError(
            'budget: expected table=path of a file that '
            f'{tool_command("latency_table")} wrote, got {table!r}'
        )
    most = options.get('largest_error', LARGEST_ERROR)
    if not isinstance(most, (int, float)) or not most > 0:
        raise ValueError(f'budget: largest_error: expected a number above 0, got {most!r}')
    if 'image_size' in options:
        options['image_size'] = check_image_size(options['image_size'])
    return kind, limit, options
