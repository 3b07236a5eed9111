"""Times of a decoder's parts, fitted to measured times of whole decoders."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
from scipy.optimize import nnls

from mmseg_sparsemask.connectivity.cost import PartCosts
from mmseg_sparsemask.connectivity.graph import Connection, Connectivity, resolution_groups
from mmseg_sparsemask.connectivity.shape import DecoderShape
from mmseg_sparsemask.utils.files import read_json, write_json
from mmseg_sparsemask.utils.tool_command import tool_command

FORMAT = 'sparsemask.latency'
VERSION = 2

#: A table whose mean error on decoders that the fit has not seen is larger is not fit for use.
LARGEST_ERROR = 0.2
#: Milliseconds: what takes longer was not measured. Sums of such times stay far from infinity.
LONGEST = 1e9


@dataclass(frozen=True)
class LatencyTable:
    """Milliseconds of every connection, stage and resize on one device.

    Attributes:
        costs: The fitted times; a decoder takes their sum.
        shape: Shape of the decoders that were measured.
        image_size: (height, width) of the image in pixels.
        device: As torch names it: ``'cpu'``, ``'cuda:0'``.
        threads: Threads of the CPU.
        meta: How it was measured: processor, precision, versions, number of decoders, error.

    Raises:
        ValueError: A time, or the error in `meta`, is no number from 0 to `LONGEST`; no connection
            takes any time, or a stage has none.
    """

    costs: PartCosts
    shape: DecoderShape
    image_size: tuple[int, int]
    device: str
    threads: int
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        costs = self.costs
        connections = {_write(c): v for c, v in costs.connections.items()}
        connections |= {' and '.join(map(_write, users)): v for users, v in costs.shared.items()}
        parts = {'fixed': costs.fixed, **costs.stages, **connections, 'mean_error': self.error}
        parts['encoder_milliseconds'] = self.encoder or 0.0
        for name, value in parts.items():
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not (number and 0 <= value <= LONGEST):
                raise ValueError(f'{name}: expected a number from 0 to {LONGEST:g}, got {value!r}')
        if not any(connections.values()):
            raise ValueError('expected at least one connection that takes time')
        if lacking := {c.stage for c in costs.connections} - costs.stages.keys():
            raise ValueError(f'{min(lacking)}: expected the time of every stage')

    @property
    def error(self) -> float:
        """Mean relative error on decoders that the fit has not seen; 0 where `meta` has none."""
        error: float = self.meta.get('mean_error', 0)
        return error

    @property
    def encoder(self) -> float | None:
        """Milliseconds of the encoder, measured beside the decoders; None where `meta` has none."""
        found = self.meta.get('encoder_milliseconds')
        return None if found is None else float(found)

    def check(
        self,
        space: Connectivity,
        shape: DecoderShape,
        largest_error: float = LARGEST_ERROR,
        **settings: Any,
    ) -> None:
        """Make sure that the table was measured for these decoders, and well.

        Args:
            space: The search space, whose connections need a time each.
            shape: Shape of the decoders.
            largest_error: Largest `error` that the table may have.
            settings: Other settings of the table to compare: ``image_size`` (height, width) in
                pixels, ``device`` as torch names it, ``threads``.

        Raises:
            ValueError: Something differs or lacks, or the error is larger; the message says what.
        """
        known = self._settings()
        remedy = f'make one for this config with {tool_command("latency_table")}'
        for name, value in {**asdict(shape), **settings}.items():
            if value != known[name]:
                raise ValueError(
                    f'latency table: it was measured for {name}={known[name]}, expected {value}; '
                    f'{remedy}'
                )
        if lacking := set(space) - self.costs.connections.keys():
            raise ValueError(f'latency table: it has no time of {_write(min(lacking))}; {remedy}')
        if self.error > largest_error:
            raise ValueError(
                f'latency table: not fit for use: it is off by {self.error:.0%} on average, '
                f'expected at most {largest_error:.0%}. Measure again on a quiet machine, or take '
                f'it all the same with largest_error={self.error:.2f} in the budget'
            )

    def to_dict(self) -> dict[str, Any]:
        """The content of the table's file."""
        data: dict[str, Any] = {'format': FORMAT, 'version': VERSION, **self._settings()}
        data['milliseconds'] = {
            'fixed': self.costs.fixed,
            'stages': dict(self.costs.stages),
            'connections': {_write(c): v for c, v in self.costs.connections.items()},
            'shared': [
                {'connections': sorted(map(_write, users)), 'milliseconds': v}
                for users, v in self.costs.shared.items()
            ],
        }
        return {**data, 'meta': dict(self.meta)}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write as JSON, whole or not at all."""
        write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> LatencyTable:
        """Read what `save` wrote.

        Raises:
            ValueError: The file cannot be read, or is something else.
        """
        try:
            data = read_json(path)
        except (OSError, ValueError) as error:
            raise ValueError(f'{path}: cannot be read ({error}); {_remedy()}') from None
        return cls.from_dict(data, str(path))

    @classmethod
    def from_dict(cls, data: Any, where: str = 'latency table') -> LatencyTable:
        """Read what `to_dict` gives.

        Args:
            data: Content of the file, of any kind.
            where: Put at the start of error messages.

        Raises:
            ValueError: It is something else.
        """
        if not isinstance(data, dict) or (data.get('format'), data.get('version')) != (
            FORMAT,
            VERSION,
        ):
            raise ValueError(f'{where}: no latency table of version {VERSION}; {_remedy()}')
        try:
            times = data['milliseconds']
            connections = {_read(name): v for name, v in times['connections'].items()}
            shared = {
                frozenset(map(_read, part['connections'])): part['milliseconds']
                for part in times['shared']
            }
            if len(shared) < len(times['shared']):
                raise ValueError('shared: expected each set of connections once')
            costs = PartCosts(connections, dict(times['stages']), times['fixed'], shared)
            shape = DecoderShape(*(data[item.name] for item in fields(DecoderShape)))
            height, width = data['image_size']
            rest = (data['device'], data['threads'], data.get('meta', {}))
            return cls(costs, shape, (height, width), *rest)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f'{where}: incomplete ({error!r}); {_remedy()}') from None
        except ValueError as error:
            raise ValueError(f'{where}: {error}; {_remedy()}') from None

    def _settings(self) -> dict[str, Any]:
        """What the times were measured for, as the file has it."""
        rest = {name: getattr(self, name) for name in ('image_size', 'device', 'threads')}
        return {**asdict(self.shape), **rest}


def _write(connection: Connection) -> str:
    return f'{connection.source} -> {connection.stage}'


def _read(name: str) -> Connection:
    return Connection(*name.split(' -> '))


def shared_resizes(space: Connectivity) -> list[frozenset[Connection]]:
    """Connections of each stage whose sources have one resolution, coarser than the stage's.

    The deployed form adds their products before it resizes them, so that each resolution costs one
    resize. Sources that are alone in their resolution share nothing and are left out.
    """
    return [
        frozenset(Connection(source, stage) for source in group.sources)
        for stage in space.stages
        for group in resolution_groups(space, stage)
        if group.stride != space.stride_of(stage) and len(group.sources) > 1
    ]


def fit_costs(
    space: Connectivity, decoders: Sequence[Connectivity], milliseconds: Sequence[float]
) -> PartCosts:
    """Non-negative times of the parts whose sums come nearest to the measured ones.

    Relative errors count: each decoder is divided by its own time.

    Args:
        space: The search space; its parts get a time each.
        decoders: What was measured. A part in none of them gets 0.
        milliseconds: Their times.

    Raises:
        ValueError: Numbers of decoders and times differ, there are none, or a time is not above 0.
    """
    if not decoders or len(decoders) != len(milliseconds):
        raise ValueError(
            f'expected as many times as decoders, and some; got {len(milliseconds)} for '
            f'{len(decoders)}'
        )
    times = np.asarray(milliseconds, dtype=float)
    if not (0 < times.min() <= times.max() < math.inf):
        raise ValueError(f'expected times above 0, got {times.min()} to {times.max()}')
    shared = shared_resizes(space)
    rows = []
    for decoder in decoders:
        kept = set(decoder)
        used = [connection in kept for connection in space]
        used += [stage in decoder.stages for stage in space.stages]
        used += [not users.isdisjoint(kept) for users in shared]
        rows.append([*used, True])
    found, _ = nnls(np.array(rows) / times[:, None], np.ones(len(decoders)))
    *parts, fixed = found.tolist()
    costs = iter(parts)
    connections, stages = dict(zip(space, costs)), dict(zip(space.stages, costs))
    return PartCosts(connections, stages, fixed, dict(zip(shared, costs)))


def relative_errors(
    costs: PartCosts, decoders: Sequence[Connectivity], milliseconds: Sequence[float]
) -> list[float]:
    """``prediction / measured - 1`` of each decoder."""
    return [costs.total(d) / measured - 1 for d, measured in zip(decoders, milliseconds)]


def _remedy() -> str:
    return f'expected a file that {tool_command("latency_table")} wrote'
