"""The search space of dense prediction cells: counting, enumerating, sampling, mutating."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from math import factorial
from typing import Any

from mmseg_sparsemask.dpc.cell import CONV1X1, FEATURE, POOL, SEP3X3, Branch, Cell, Operation
from mmseg_sparsemask.utils.checks import check_keys, check_whole

RATES = (1, 3, 6, 9, 12, 15, 18, 21)
GRIDS = (1, 2, 4, 8)


@dataclass(frozen=True)
class SearchSpace:
    """All cells of ``branches`` branches over a set of operations (section 3.2 of the paper).

    The defaults are the paper's: 1 + 8 * 8 + 4 * 4 = 81 operations, branch i has i + 1 possible
    inputs, 5! * 81**5 = 4.18e11 cells.

    Args:
        branches: How many branches a cell has, at least 1.
        rates: What a rate of the separable convolution may be, in each direction; may be empty.
        grids: What a grid size of the pooling may be, in each direction; may be empty.
        conv1x1: Whether the 1x1 convolution is among the operations.

    Raises:
        ValueError: A number out of range, a repeated value, or no operation at all.
    """

    branches: int = 5
    rates: tuple[int, ...] = RATES
    grids: tuple[int, ...] = GRIDS
    conv1x1: bool = True

    def __post_init__(self) -> None:
        check_whole(1, branches=self.branches)
        for key in ('rates', 'grids'):
            given = getattr(self, key)
            if not isinstance(given, (list, tuple)):
                raise ValueError(f'{key} must be a list of whole numbers, got {given!r}')
            values = tuple(given)
            for value in values:
                check_whole(1, **{key: value})
            if len(set(values)) != len(values):
                raise ValueError(f'{key} holds a value twice: {values}')
            object.__setattr__(self, key, values)
        if not self.operations:
            raise ValueError('the space has no operation; give rates, grids or conv1x1=True')

    @classmethod
    def from_config(cls, config: Mapping[str, Any] | None) -> SearchSpace:
        """Build from the ``space`` dict of a search config.

        Raises:
            ValueError: An unknown key, or what the constructor refuses.
        """
        config = config or {}
        check_keys(config, {f.name for f in fields(cls)}, 'space')
        return cls(**config)

    @cached_property
    def operations(self) -> tuple[Operation, ...]:
        """Every operation, in a fixed order: 1x1, separable by rate, pooling by grid."""
        sizes = {SEP3X3: self.rates, POOL: self.grids}
        return (
            *([Operation(CONV1X1)] if self.conv1x1 else []),
            *(Operation(k, s) for k, v in sizes.items() for s in itertools.product(v, v)),
        )

    @property
    def count(self) -> int:
        """How many cells there are, the order of branches told apart: B! * n**B."""
        return factorial(self.branches) * int(len(self.operations) ** self.branches)

    @property
    def count_distinct(self) -> int:
        """How many cells remain when the order of independent branches is not told apart.

        Cells are forests of rooted trees whose nodes carry one of n operations. With t_k the number
        of such trees of k nodes and f_k that of forests, t_k = n * f_(k-1), and f is the Euler
        transform of t (Cayley).
        """
        n = len(self.operations)
        trees, forests = [0], [1]
        for size in range(1, self.branches + 1):
            trees.append(n * forests[size - 1])
            total = 0
            for k in range(1, size + 1):
                weight = sum(d * trees[d] for d in range(1, k + 1) if k % d == 0)
                total += weight * forests[size - k]
            forests.append(total // size)
        return forests[self.branches]

    def enumerate(self) -> Iterator[Cell]:
        """Yield every cell once, the order of branches told apart. For reduced spaces only."""
        inputs = [range(FEATURE, index) for index in range(self.branches)]
        for sources in itertools.product(*inputs):
            for ops in itertools.product(self.operations, repeat=self.branches):
                yield Cell(tuple(Branch(i, op) for i, op in zip(sources, ops, strict=True)))

    def check(self, cell: Cell) -> None:
        """Raise ValueError, naming the branch, if ``cell`` is not in this space."""
        if len(cell) != self.branches:
            raise ValueError(f'the space has cells of {self.branches} branches, got {len(cell)}')
        for index, branch in enumerate(cell.branches):
            if branch.op not in self.operations:
                raise ValueError(
                    f'branch {index}: {branch.op.name} is not in the space (rates {self.rates}, '
                    f'grids {self.grids}, conv1x1 {self.conv1x1}); change the cell or the space'
                )

    def sample(self, rng: random.Random) -> Cell:
        """Draw a cell uniformly (each of `count` equally likely)."""
        return Cell(
            tuple(
                Branch(rng.randrange(FEATURE, index), rng.choice(self.operations))
                for index in range(self.branches)
            )
        )

    def mutate(self, cell: Cell, rng: random.Random) -> Cell:
        """A neighbour of ``cell``: one decision, the input or the operation of one branch, differs.

        It is an input or an operation, each half of the time where both can change. In a space of
        one cell the cell itself comes back.
        """
        self.check(cell)
        rewired = [
            (index, Branch(source, branch.op))
            for index, branch in enumerate(cell.branches)
            for source in range(FEATURE, index)
            if source != branch.input
        ]
        one_operation = len(self.operations) == 1
        if one_operation and not rewired:
            return cell
        branches = list(cell.branches)
        # Inputs and operations are weighed alike: there are far fewer other inputs than other
        # operations, and uniform neighbours would hardly ever change the wiring.
        if rewired and (one_operation or rng.random() < 0.5):
            index, branches[index] = rng.choice(rewired)
        else:
            index = rng.randrange(self.branches)
            source, old = branches[index].input, branches[index].op
            branches[index] = Branch(source, rng.choice([o for o in self.operations if o != old]))
        return Cell(tuple(branches))

    # ----------------------------------------- the same cells as flat parameters

    def choices(self) -> dict[str, tuple[Any, ...]]:
        """The decisions a black-box sampler makes: name -> possible values."""
        names = tuple(op.name for op in self.operations)
        result: dict[str, tuple[Any, ...]] = {}
        for index in range(self.branches):
            result |= {f'input_{index}': tuple(range(FEATURE, index)), f'op_{index}': names}
        return result

    def to_params(self, cell: Cell) -> dict[str, Any]:
        """A cell of this space as values for `choices`."""
        self.check(cell)
        params: dict[str, Any] = {}
        for index, branch in enumerate(cell.branches):
            params |= {f'input_{index}': branch.input, f'op_{index}': branch.op.name}
        return params

    def from_params(self, params: Mapping[str, Any]) -> Cell:
        """The cell that values for `choices` stand for."""
        cell = Cell(
            tuple(
                Branch(params[f'input_{index}'], Operation.from_name(params[f'op_{index}']))
                for index in range(self.branches)
            )
        )
        self.check(cell)
        return cell


def sample_unseen(
    space: SearchSpace, seen: set[str], rng: random.Random, tries: int = 1000
) -> Cell | None:
    """A uniformly drawn cell whose hash is not in ``seen``; None when none was found.

    None from a space of at most ``tries`` ordered cells means that there is none: such a space is
    searched through.
    """
    for _ in range(tries):
        cell = space.sample(rng)
        if cell.hash not in seen:
            return cell
    if space.count <= tries:
        unseen: Sequence[Cell] = [c for c in space.enumerate() if c.hash not in seen]
        if unseen:
            return rng.choice(unseen)
    return None
