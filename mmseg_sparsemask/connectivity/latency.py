"""Times of a decoder's parts, fitted to measured times of whole decoders."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

from mmseg_sparsemask.connectivity.cost import PartCosts
from mmseg_sparsemask.connectivity.graph import Connection, Connectivity
from mmseg_sparsemask.utils.files import write_json

FORMAT = 'sparsemask.latency'


@dataclass(frozen=True)
class LatencyTable:
    """Milliseconds of every connection and stage on one device.

    Attributes:
        costs: The fitted times; a decoder takes their sum.
        strides: Of ``E1`` .. ``EL``.
        in_channels: Of ``E1`` .. ``EL``.
        channels: Of every stage.
        num_classes: Outputs of the classifier.
        image_size: (height, width) of the image in pixels.
        device: As torch names it: ``'cpu'``, ``'cuda:0'``.
        threads: Of the CPU.
        meta: How it was measured: processor, precision, versions, number of decoders, error.
    """

    costs: PartCosts
    strides: tuple[int, ...]
    in_channels: tuple[int, ...]
    channels: int
    num_classes: int
    image_size: tuple[int, int]
    device: str
    threads: int
    meta: Mapping[str, Any] = field(default_factory=dict)

    def check(
        self,
        strides: Sequence[int],
        in_channels: Sequence[int],
        channels: int,
        num_classes: int,
        image_size: tuple[int, int] | None = None,
        device: str | None = None,
    ) -> None:
        """Make sure that the table was measured for this decoder.

        Args:
            strides: Of ``E1`` .. ``EL``.
            in_channels: Of ``E1`` .. ``EL``.
            channels: Of every stage.
            num_classes: Outputs of the classifier.
            image_size: (height, width) in pixels; None takes the table's.
            device: As torch names it; None takes the table's.

        Raises:
            ValueError: Something is another than the table's; the message says what.
        """
        wanted: dict[str, Any] = {
            'strides': tuple(strides),
            'in_channels': tuple(in_channels),
            'channels': channels,
            'num_classes': num_classes,
        }
        if image_size is not None:
            wanted['image_size'] = tuple(image_size)
        if device is not None:
            wanted['device'] = device
        for name, value in wanted.items():
            measured = getattr(self, name)
            if value != measured:
                raise ValueError(
                    f'latency table: it was measured for {name}={measured}, expected {value}; '
                    'make one for this config with tools/latency_table.py'
                )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write as JSON, whole or not at all."""
        data: dict[str, Any] = {'format': FORMAT, 'version': 1}
        data |= {name: getattr(self, name) for name in _PLAIN}
        data['milliseconds'] = {
            'fixed': self.costs.fixed,
            'stages': dict(self.costs.stages),
            'connections': {f'{s} -> {t}': v for (s, t), v in self.costs.connections.items()},
        }
        write_json(path, {**data, 'meta': dict(self.meta)})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> LatencyTable:
        """Read what `save` wrote.

        Raises:
            ValueError: The file cannot be read, or is something else.
        """
        remedy = 'expected a file that tools/latency_table.py wrote'
        try:
            data = json.loads(Path(path).read_text())
        except (OSError, ValueError) as error:
            raise ValueError(f'{path}: cannot be read ({error}); {remedy}') from None
        if not isinstance(data, dict) or (data.get('format'), data.get('version')) != (FORMAT, 1):
            raise ValueError(f'{path}: no latency table of version 1; {remedy}')
        try:
            times = data['milliseconds']
            costs = PartCosts(
                {Connection(*k.split(' -> ')): float(v) for k, v in times['connections'].items()},
                {stage: float(v) for stage, v in times['stages'].items()},
                float(times['fixed']),
            )
            plain = {name: data[name] for name in _PLAIN}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f'{path}: incomplete ({error!r}); {remedy}') from None
        settings: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in plain.items()
        }
        settings['meta'] = data.get('meta', {})
        return cls(costs, **settings)


_PLAIN = (
    'strides',
    'in_channels',
    'channels',
    'num_classes',
    'image_size',
    'device',
    'threads',
)


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
        ValueError: Numbers of decoders and times differ, or there are none.
    """
    if not decoders or len(decoders) != len(milliseconds):
        raise ValueError(
            f'expected as many times as decoders, and some; got {len(milliseconds)} for '
            f'{len(decoders)}'
        )
    connections, stages = list(space), list(space.stages)
    times = np.asarray(milliseconds, dtype=float)
    rows = np.zeros((len(decoders), len(connections) + len(stages) + 1))
    for row, decoder in zip(rows, decoders):
        kept = set(decoder)
        row[: len(connections)] = [c in kept for c in connections]
        row[len(connections) : -1] = [stage in decoder.stages for stage in stages]
        row[-1] = 1
    found, _ = nnls(rows / times[:, None], np.ones(len(decoders)))
    return PartCosts(
        dict(zip(connections, found[: len(connections)].tolist())),
        dict(zip(stages, found[len(connections) : -1].tolist())),
        float(found[-1]),
    )


def relative_errors(
    costs: PartCosts, decoders: Sequence[Connectivity], milliseconds: Sequence[float]
) -> list[float]:
    """``prediction / measured - 1`` of each decoder."""
    return [costs.total(d) / measured - 1 for d, measured in zip(decoders, milliseconds)]
