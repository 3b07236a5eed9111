"""The dense prediction cell as plain data.

A cell has branches. Branch i takes one input, the backbone's feature (-1) or the output of an
earlier branch (0 .. i-1), and applies one operation to it; the cell's output is the concatenation
of all branches (Chen et al., "Searching for Efficient Multi-Scale Architectures for Dense Image
Prediction", NeurIPS 2018, section 3.2). Nothing here needs a deep learning framework.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmseg_sparsemask.utils.checks import check_keys, check_one_of
from mmseg_sparsemask.utils.files import read_json, write_json

FORMAT = 'sparsemask.dpc'
VERSION = 1
#: The input index that means the backbone's feature.
FEATURE = -1
#: The paper's cells have 5 branches and sizes up to 21; files beyond these bounds are damaged.
MAX_BRANCHES = 100
MAX_SIZE = 10_000

CONV1X1 = 'conv1x1'
SEP3X3 = 'sep3x3'
POOL = 'pool'
KINDS = (CONV1X1, SEP3X3, POOL)
#: What the versioned form calls the size of an operation; conv1x1 has none.
_SIZES = {SEP3X3: 'rate', POOL: 'grid'}

_NAME = re.compile(r'^(conv1x1|(sep3x3|pool)_(\d+)x(\d+))$')


def _pair(value: Any, what: str) -> tuple[int, int]:
    """Check that ``value`` is two positive integers, height first."""
    ok = isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2
    if not ok or not all(type(v) is int and 0 < v <= MAX_SIZE for v in value):
        raise ValueError(
            f'{what} must be two positive integers [height, width] of at most {MAX_SIZE}, '
            f'got {value!r:.200}'
        )
    return (int(value[0]), int(value[1]))


@dataclass(frozen=True, order=True)
class Operation:
    """What a branch does to its input.

    Args:
        kind: ``conv1x1`` (1x1 convolution), ``sep3x3`` (3x3 atrous separable convolution) or
            ``pool`` (average spatial pyramid pooling).
        size: (rate_h, rate_w) of ``sep3x3``, (grid_h, grid_w) of ``pool``, (1, 1) of ``conv1x1``.

    Raises:
        ValueError: Unknown kind, or a size that is not two positive integers.
    """

    kind: str
    size: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        check_one_of('an operation', self.kind, KINDS)
        object.__setattr__(self, 'size', _pair(self.size, f'the size of {self.kind!r}'))
        if self.kind == CONV1X1 and self.size != (1, 1):
            raise ValueError(f'conv1x1 has no size, got {self.size}')

    @property
    def name(self) -> str:
        """A short name that `from_name` reads: ``conv1x1``, ``sep3x3_1x6``, ``pool_2x4``."""
        return CONV1X1 if self.kind == CONV1X1 else f'{self.kind}_{self.size[0]}x{self.size[1]}'

    @classmethod
    def from_name(cls, name: str) -> Operation:
        """Read what `name` wrote."""
        match = _NAME.match(name)
        if match is None:
            raise ValueError(f'{name!r}: expected conv1x1, sep3x3_<h>x<w> or pool_<h>x<w>')
        if match[2] is None:
            return cls(CONV1X1)
        return cls(match[2], (int(match[3]), int(match[4])))

    def to_dict(self) -> dict[str, Any]:
        """The versioned form."""
        size = {_SIZES[self.kind]: list(self.size)} if self.kind in _SIZES else {}
        return {'op': self.kind, **size}

    @classmethod
    def from_dict(cls, item: Mapping[str, Any], here: str) -> Operation:
        """Read what `to_dict` wrote; ``here`` is put at the start of error messages."""
        kind = item['op']
        check_one_of(f'{here}: an operation', kind, KINDS)
        size = _SIZES.get(kind)
        check_keys(item, {'input', 'op'} | ({size} if size else set()), here)
        return cls(kind, _pair(item.get(size), f'{here}: {size}') if size else (1, 1))

    def to_published(self) -> dict[str, Any]:
        """The form of the published code (see `Cell.from_published`)."""
        size = list(self.size)
        forms: dict[str, dict[str, Any]] = {
            POOL: {'op': 'pyramid_pooling', 'grid_size': size},
            SEP3X3: {'kernel': 3, 'rate': size, 'op': 'conv'},
            CONV1X1: {'kernel': 1, 'op': 'conv'},
        }
        return forms[self.kind]

    @classmethod
    def from_published(cls, item: Mapping[str, Any], here: str) -> Operation:
        """Read that form; ``here`` is put at the start of error messages."""
        check_keys(item, {'op', 'kernel', 'rate', 'grid_size', 'target_size', 'input'}, here)
        pooling = item['op'] == 'pyramid_pooling' and 'rate' not in item
        conv = item['op'] == 'conv' and not {'grid_size', 'target_size'} & item.keys()
        kernel = item.get('kernel', 1 if pooling else None)
        if isinstance(kernel, (list, tuple)):
            kernel = _pair(kernel, f'{here}: kernel')
        elif type(kernel) is int:
            kernel = (kernel, kernel)
        if pooling and 'target_size' in item:
            _pair(item['target_size'], f'{here}: target_size')
            kernel = _pair(kernel, f'{here}: kernel') and (1, 1)
        if pooling and kernel == (1, 1):
            return cls(POOL, _pair(item.get('grid_size'), f'{here}: grid_size'))
        rate = _pair(item.get('rate', [1, 1]), f'{here}: rate') if conv else (0, 0)
        if conv and kernel == (3, 3):
            return cls(SEP3X3, rate)
        if conv and kernel == (1, 1) and rate == (1, 1):
            return cls(CONV1X1)
        raise ValueError(
            f'{here}: expected op "conv" with kernel 1 or 3 (and a rate), or '
            f'"pyramid_pooling" with a grid_size, got {dict(item)!r:.200}'
        )


@dataclass(frozen=True, order=True)
class Branch:
    """One branch: where it reads and what it does.

    Args:
        input: -1 for the backbone's feature, else the index of an earlier branch.
        op: The operation.
    """

    input: int
    op: Operation


@dataclass(frozen=True)
class Cell:
    """An immutable dense prediction cell.

    Args:
        branches: In an order in which every branch reads an earlier one.
        meta: Free notes that travel with the JSON; not part of equality or of the hash.

    Raises:
        ValueError: No branches, or an input that refers forward or does not exist.
    """

    branches: tuple[Branch, ...]
    meta: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, 'branches', tuple(self.branches))
        object.__setattr__(self, 'meta', dict(self.meta))
        if not 1 <= len(self.branches) <= MAX_BRANCHES:
            raise ValueError(
                f'a cell has at least one branch, at most {MAX_BRANCHES} branches, '
                f'got {len(self.branches)}'
            )
        for index, branch in enumerate(self.branches):
            if type(branch.input) is not int or not FEATURE <= branch.input < index:
                raise ValueError(
                    f'branch {index} reads branch {branch.input!r:.200}; '
                    + (
                        'it may read -1 (the feature) or an earlier branch: reorder the branches'
                        if index
                        else 'the first branch must read -1 (the feature)'
                    )
                )

    def __len__(self) -> int:
        return len(self.branches)

    # ---------------------------------------------------------------- identity

    def canonical(self) -> Cell:
        """The same cell with its branches in one fixed order.

        A cell is a rooted tree (root: the feature; a branch hangs below what it reads), and the
        order of independent branches, or of equal ones, changes nothing but the order of channels
        in the concatenation. Trees are compared by their codes, children sorted (Aho, Hopcroft and
        Ullman), and written out depth first.
        """
        children: list[list[int]] = [[] for _ in range(len(self.branches) + 1)]
        for index, branch in enumerate(self.branches):
            children[branch.input + 1].append(index)
        codes = [''] * len(self.branches)
        for index in reversed(range(len(self.branches))):
            below = sorted(codes[child] for child in children[index + 1])
            codes[index] = f'{self.branches[index].op.name}({"".join(below)})'
        ordered: list[Branch] = []

        def visit(below: list[int], parent: int) -> None:
            for index in sorted(below, key=lambda i: codes[i]):
                ordered.append(Branch(parent, self.branches[index].op))
                visit(children[index + 1], len(ordered) - 1)

        visit(children[0], FEATURE)
        return Cell(tuple(ordered), self.meta)

    @property
    def hash(self) -> str:
        """Sixteen hex digits, equal exactly for cells of equal canonical form."""
        return hashlib.sha256(self.canonical().to_string().encode()).hexdigest()[:16]

    # ------------------------------------------------------------ plain forms

    def to_string(self) -> str:
        """One line, e.g. ``-1:sep3x3_1x6 0:conv1x1``; `from_string` reads it."""
        return ' '.join(f'{branch.input}:{branch.op.name}' for branch in self.branches)

    @classmethod
    def from_string(cls, text: str) -> Cell:
        """Read what `to_string` wrote."""
        branches = []
        for part in text.split():
            source, separator, name = part.partition(':')
            if not separator or not re.fullmatch(r'-?\d+', source):
                raise ValueError(f'expected <input>:<operation>, got {part!r} in {text!r}')
            branches.append(Branch(int(source), Operation.from_name(name)))
        return cls(tuple(branches))

    def to_dict(self) -> dict[str, Any]:
        """The versioned form, ready for JSON."""
        branches = [{'input': branch.input, **branch.op.to_dict()} for branch in self.branches]
        meta = dict(self.meta)
        return {'format': FORMAT, 'version': VERSION, 'branches': branches, 'meta': meta}

    def to_published(self) -> list[dict[str, Any]]:
        """The list form of the published code (see `from_published`)."""
        return [{**branch.op.to_published(), 'input': branch.input} for branch in self.branches]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str = 'cell') -> Cell:
        """Read the versioned form.

        Raises:
            ValueError: Unknown format, version, key or operation, or an input that refers forward.
        """
        check_keys(data, {'format', 'version', 'branches', 'meta'}, where)
        if data.get('format') != FORMAT:
            raise ValueError(f'{where}: format must be {FORMAT!r}, got {data.get("format")!r}')
        if type(data.get('version')) is not int or data['version'] != VERSION:
            raise ValueError(
                f'{where}: version {data.get("version")!r} is not readable, this release reads '
                f'version {VERSION}; use the release that wrote it'
            )
        meta = data.get('meta', {})
        if not isinstance(meta, Mapping):
            raise ValueError(f'{where}: meta must be a dict, got {meta!r:.200}')
        return cls._read(data.get('branches'), where, Operation.from_dict, meta)

    @classmethod
    def from_published(cls, items: Sequence[Mapping[str, Any]], where: str = 'cell') -> Cell:
        """Read the list form of the published code.

        ``{"kernel": 3, "rate": [h, w], "op": "conv", "input": i}`` is a separable convolution,
        ``{"kernel": 1, "op": "conv", "input": i}`` a 1x1 one (a rate is then without meaning and
        must be 1), ``{"op": "pyramid_pooling", "grid_size": [h, w], "input": i}`` pooling (a
        kernel, if given, must be 1). A kernel may be ``[k, k]`` as well. The published code adds
        ``target_size`` and the kernel of the window to a pooling that it has built; both follow
        from the feature's size and are left out here.

        Raises:
            ValueError: Another operation, kernel or key, or an input that refers forward.
        """
        return cls._read(items, where, Operation.from_published)

    @classmethod
    def _read(
        cls,
        items: Any,
        where: str,
        operation: Callable[[Mapping[str, Any], str], Operation],
        meta: Mapping[str, Any] | None = None,
    ) -> Cell:
        """A cell from the dicts of its branches."""
        if not isinstance(items, Sequence) or isinstance(items, str):
            raise ValueError(f'{where}: branches must be a list, got {items!r:.200}')
        branches = []
        for index, item in enumerate(items):
            here = f'{where}, branch {index}'
            if not isinstance(item, Mapping) or not {'input', 'op'} <= item.keys():
                raise ValueError(f'{here}: expected a dict with input and op, got {item!r:.200}')
            branches.append(Branch(item['input'], operation(item, here)))
        try:
            return cls(tuple(branches), meta or {})
        except ValueError as error:
            raise ValueError(f'{where}: {error}') from None

    # ----------------------------------------------------------------- files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the versioned form; the file appears whole or not at all."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_json(target, self.to_dict())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Cell:
        """Read either form from a JSON file.

        Raises:
            ValueError: There is no such file, or it holds no cell; the message names the file.
        """
        try:
            data = read_json(path)
        except FileNotFoundError:
            raise ValueError(f'no cell file {path}; give a path, a preset name or a dict') from None
        except OSError as error:
            raise ValueError(f'{path}: cannot be read ({error.strerror})') from None
        if isinstance(data, Mapping):
            return cls.from_dict(data, str(path))
        if isinstance(data, list):
            return cls.from_published(data, str(path))
        raise ValueError(
            f'{path}: expected a cell (a dict) or the published list, got {data!r:.200}'
        )
