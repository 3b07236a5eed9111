"""The least time the machine could need: bytes over bandwidth, multiply-adds over matmul rate.

The minimal form of a decoder computes each connection once at its source's resolution, resizes one
sum for each (stage, source resolution), and never writes what it can keep in a cache:

- inference moves the encoder features it uses (read once), the parameters (read once) and the
  logits (written once);
- training reads the features once in each direction and writes their gradients; writes every stage
  once, because batch statistics need it whole, reads it once more in each direction and writes and
  reads its gradient once, for the same reason; writes the logits and reads their gradient; reads
  the parameters once in each direction and writes their gradients.

Multiply-adds: the convolutions and the classifier (three times in training: outputs, gradients of
inputs, gradients of weights) and separable bilinear resizing, two for each output of each axis
(twice in training). Statistics, normalisation, activation and additions are not counted.

The floor is the larger of the two times: no schedule can beat either. Their sum, what a program
needs that never overlaps the two, is given too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from mmseg_sparsemask.connectivity import GLOBAL, Connectivity, DecoderShape
from mmseg_sparsemask.connectivity.graph import level_of
from mmseg_sparsemask.utils.timing import repeated


@dataclass(frozen=True)
class Work:
    """What has to be moved and computed."""

    bytes: int
    multiply_adds: int


@dataclass(frozen=True)
class Rates:
    """What the machine does in a second, measured."""

    copy_bytes: float
    multiply_adds: float

    def __str__(self) -> str:
        return (
            f'measured: copy {self.copy_bytes / 1e9:.1f} GB/s (read + written), '
            f'matmul {self.multiply_adds / 1e9:.1f} G multiply-adds/s'
        )

    def floor(self, work: Work) -> dict[str, Any]:
        """Milliseconds: of the bytes, of the multiply-adds, the larger (the floor), the sum."""
        moving = 1e3 * work.bytes / self.copy_bytes
        computing = 1e3 * work.multiply_adds / self.multiply_adds
        return {
            **asdict(work),
            'bytes_ms': moving,
            'multiply_adds_ms': computing,
            'floor_ms': max(moving, computing),
            'sum_ms': moving + computing,
        }


def measure_rates(device: str, dtype: torch.dtype, quick: bool) -> Rates:
    """Best of several: copying a tensor larger than the caches, and a large square product."""
    on_gpu = device.startswith('cuda')
    numbers = (1 << 24 if quick else 1 << 28) // dtype.itemsize * (4 if on_gpu else 1)
    source = torch.zeros(numbers, dtype=dtype, device=device)
    target = torch.zeros_like(source)
    copying = _best(lambda: target.copy_(source), device, 3 if quick else 10)
    side = 512 if quick else 8192 if on_gpu else 2048
    left = torch.randn(side, side, dtype=dtype, device=device)
    product = torch.zeros_like(left)
    multiplying = _best(lambda: torch.mm(left, left, out=product), device, 3 if quick else 10)
    return Rates(2 * numbers * dtype.itemsize / copying, side**3 / multiplying)


def _best(call, device: str, times: int) -> float:
    # The first touches the memory.
    return min(repeated(call, times, device, warmup=1))


def decoder_work(
    connectivity: Connectivity,
    features: Sequence[torch.Tensor],
    channels: int,
    classes: int,
    training: bool = False,
) -> Work:
    """Bytes and multiply-adds of the minimal form.

    Args:
        connectivity: The decoder.
        features: ``E1`` .. ``EL``, (N, C_i, h_i, w_i).
        channels: Channels of a stage.
        classes: Outputs of the classifier.
        training: Forward and backward; else inference.
    """
    batch = len(features[0])
    in_channels = [feature.shape[1] for feature in features]
    shape = DecoderShape(connectivity.strides, in_channels, channels, classes)
    sizes = [tuple(feature.shape[-2:]) for feature in features]
    weights = convolutions = resizing = stages = 0
    used = set()
    for stage, sources in connectivity.stages.items():
        height, width = sizes[level_of(stage) - 1]
        stages += height * width * channels
        resized = set()
        for source in sources:
            numbers = shape.source_channels(source) * channels
            weights += numbers
            level = len(features) if source == GLOBAL else level_of(source)
            if source == GLOBAL:
                convolutions += numbers
            else:
                rows, columns = sizes[level - 1]
                convolutions += numbers * rows * columns
                resized.add((rows, columns))
            if not source.startswith('D'):
                used.add(level)
        for rows, _ in resized - {(height, width)}:
            resizing += 2 * channels * (rows * width + height * width)
        weights += 2 * channels
    height, width = sizes[level_of(connectivity.end) - 1]
    positions = height * width
    convolutions += channels * classes * positions
    weights += (channels + 1) * classes
    read = sum(in_channels[level - 1] * sizes[level - 1][0] * sizes[level - 1][1] for level in used)
    logits = classes * positions
    itemsize = features[0].element_size()
    if training:
        moved = batch * (3 * read + 5 * stages + 2 * logits) + 3 * weights
        return Work(itemsize * moved, batch * (3 * convolutions + 2 * resizing))
    return Work(itemsize * (batch * (read + logits) + weights), batch * (convolutions + resizing))
