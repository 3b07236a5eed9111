"""Which of the networks is handed over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path

from mmseg_sparsemask.compare.results import Result
from mmseg_sparsemask.fit.networks import Limits


@dataclass(frozen=True)
class Network:
    """A network that was trained, with all that is known of it.

    Attributes:
        name: Name of its folder.
        config: Its config.
        checkpoint: Its weights.
        row: Its row of results.
        score: mIoU in percent, on the images by which one is chosen.
        milliseconds: Median time of one image, in the deployed form.
        classes: IoU of each class in percent; None where it does not occur.
    """

    name: str
    config: Path
    checkpoint: Path
    row: Result
    score: float
    milliseconds: float
    classes: Sequence[float | None]

    @property
    def title(self) -> str:
        """What people call it."""
        return self.row.method

    @property
    def parameters(self) -> int:
        """Of the whole network."""
        return self.row.encoder_parameters + self.row.decoder_parameters

    @property
    def cells(self) -> dict[str, str]:
        """Its row of a table for people."""
        work = self.row.encoder_multiply_adds + self.row.decoder_multiply_adds
        return {
            'network': self.title,
            'mIoU': f'{self.score:.1f}',
            'ms': f'{self.milliseconds:.1f}',
            'parameters': f'{self.parameters / 1e6:.2f} M',
            'multiply-adds': f'{work / 1e6:,.1f} M',
            'connections': str(self.row.connections),
        }

    def __str__(self) -> str:
        cost = f'{self.milliseconds:.1f} ms, {self.parameters:,} parameters'
        return f'{self.title}: mIoU {self.score:.1f} at {cost}'


def choose(networks: Sequence[Network], limits: Limits) -> tuple[Network, str]:
    """The network of the highest score within the limits, and why it is that.

    Of equal scores the faster one is taken. If none is within the limits, the fastest is, or the
    smallest if parameters alone are limited, and this is said.
    """
    ranked = sorted(networks, key=lambda n: (-n.score, n.milliseconds))
    within = [n for n in ranked if limits.allow(n.milliseconds, n.parameters)]
    if not within:
        cost = 'milliseconds' if limits.milliseconds < inf else 'parameters'
        least = min(ranked, key=lambda n: getattr(n, cost))
        return least, f'No network is within {limits}; the one of fewest {cost} is taken. {least}.'
    chosen, *others = within
    said = f'{chosen}' + (f', the best within {limits}' if str(limits) else '')
    said += ''.join(f'; next {other}' for other in others[:1])
    if chosen is not ranked[0]:
        said += f'; without a limit {ranked[0]}'
    faster = [n for n in others if n.milliseconds < 0.9 * chosen.milliseconds]
    if faster and faster[0].score > chosen.score - 1:
        said += f'. {faster[0].title} is within a point of it and faster'
    return chosen, f'{said}.'
