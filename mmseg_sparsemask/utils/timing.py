"""How long a call takes, and what it ran on."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

Name = TypeVar('Name')


def processor(device: str = 'cpu') -> str:
    """Name of a GPU, or of the CPU where the system tells it."""
    if device.startswith('cuda'):
        import torch

        return torch.cuda.get_device_name(device)
    info = Path('/proc/cpuinfo')
    for line in info.read_text().splitlines() if info.is_file() else []:
        if line.startswith('model name'):
            return line.partition(':')[2].strip()
    return platform.processor() or platform.machine()


def synchronize(device: str) -> None:
    """Wait until a GPU has done what it was given; a CPU has."""
    if device.startswith('cuda'):
        import torch

        torch.cuda.synchronize(device)


def seconds_of(call: Callable[[], Any], device: str = 'cpu', calls: int = 1) -> float:
    """Seconds of one call, the mean of several in a row, with the device's work done."""
    synchronize(device)
    start = time.perf_counter()
    for _ in range(calls):
        call()
    synchronize(device)
    return (time.perf_counter() - start) / calls


def repeated(
    call: Callable[[], Any], rounds: int, device: str = 'cpu', warmup: int = 2
) -> list[float]:
    """Seconds of each of several calls, after some that do not count."""
    return [seconds_of(call, device) for _ in range(warmup + rounds)][warmup:]


def in_turns(names: Sequence[Name], rounds: int) -> Iterator[list[Name]]:
    """The order of each round: another first, and every other round backwards.

    Whatever else a machine does meets all of them; the first after a pause may be slower, and
    neighbours change too.
    """
    for turn in range(rounds):
        first = turn % max(len(names), 1)
        rotated = [*names[first:], *names[:first]]
        yield rotated[::-1] if turn % 2 else rotated


def timed_in_turns(
    calls: Mapping[Name, Callable[[], Any]], rounds: int, device: str = 'cpu', warmup: int = 2
) -> dict[Name, list[float]]:
    """Seconds of several calls that take turns, after some rounds that do not count."""
    times: dict[Name, list[float]] = {name: [] for name in calls}
    for order in in_turns(list(calls), warmup + rounds):
        for name in order:
            times[name].append(seconds_of(calls[name], device))
    return {name: taken[warmup:] for name, taken in times.items()}
