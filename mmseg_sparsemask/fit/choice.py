"""Which of the networks is handed over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmseg_sparsemask.fit.networks import Limits


@dataclass(frozen=True)
class Network:
    """A network that was trained, with all that is known of it.

    Attributes:
        name: Name of its folder.
        title: What people call it.
        config: Its config.
        checkpoint: Its weights.
        score: mIoU in percent, on the images by which one is chosen.
        milliseconds: Median time of one image, in the deployed form.
        parameters: Of the whole network.
        multiply_adds: Of the whole network, for one image.
        classes: IoU of each class in percent; None where it does not occur.
        about: The row of results.
    """

    name: str
    title: str
    config: Path
    checkpoint: Path
    score: float
    milliseconds: float
    parameters: int
    multiply_adds: int
    classes: Sequence[float | None]
    about: Any


def choose(networks: Sequence[Network], limits: Limits) -> tuple[Network, str]:
    """The network of the highest score within the limits, and why it is that.

    Of equal scores the faster one is taken. If none is within the limits, the smallest or fastest
    is, and this is said.
    """

    def rank(network: Network) -> tuple[float, float]:
        return -network.score, network.milliseconds

    within = [n for n in networks if limits.allow(n.milliseconds, n.parameters)]
    best = min(networks, key=rank)
    if not within:
        by_time = limits.milliseconds is not None
        least = min(networks, key=lambda n: n.milliseconds if by_time else n.parameters)
        cost = f'{least.milliseconds:.1f} ms and {least.parameters:,} parameters'
        return least, (
            f'No network is within {limits}: {least.title}, which takes least ({cost}), is handed '
            f'over, with mIoU {least.score:.1f}.'
        )
    chosen = min(within, key=rank)
    said = f'{chosen.title}: mIoU {chosen.score:.1f} at {chosen.milliseconds:.1f} ms'
    if str(limits):
        said += f', the best within {limits}'
    others = [n for n in within if n is not chosen]
    if others:
        second = min(others, key=rank)
        said += f'; next {second.title} with {second.score:.1f} at {second.milliseconds:.1f} ms'
    if chosen is not best:
        said += (
            f'; without a limit {best.title} with {best.score:.1f} at {best.milliseconds:.1f} ms'
        )
    faster = [n for n in within if n.milliseconds < 0.9 * chosen.milliseconds]
    if faster and (near := min(faster, key=rank)).score > chosen.score - 1:
        said += f'. {near.title} is within a point of it and faster'
    return chosen, f'{said}.'


def as_table(networks: Sequence[Network], chosen: Network) -> list[Mapping[str, Any]]:
    """Rows for people, the best first."""
    return [
        {
            'network': n.title,
            'mIoU': f'{n.score:.2f}',
            'ms': f'{n.milliseconds:.1f}',
            'parameters': f'{n.parameters:,}',
            'multiply-adds': f'{n.multiply_adds:,}',
            'connections': str(n.about.connections),
            'chosen': 'chosen' if n is chosen else '',
        }
        for n in sorted(networks, key=lambda n: -n.score)
    ]
