"""Speed and memory of several models, measured together."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_sparsemask.compare.methods import Method
from mmseg_sparsemask.compare.rows import one_line
from mmseg_sparsemask.models.backbones.probing import image_channels
from mmseg_sparsemask.utils.timing import in_turns, processor, seconds_of


def measure(
    methods: Sequence[Method],
    image_size: tuple[int, int],
    device: str,
    rounds: int = 20,
    warmup: int = 3,
    tick: Callable[[], None] = lambda: None,
) -> None:
    """Fill in FPS and peak memory.

    One image at a time, from the normalised image to the logits at its size, in evaluation mode
    and float32. The models take turns, so that whatever else the machine does meets all of them;
    FPS is from the median time of a model's turns. A model that fails says so in its notes.

    Args:
        methods: Those without a model are left out.
        image_size: (height, width) in pixels.
        device: ``'cpu'`` or ``'cuda'``.
        rounds: Turns that count.
        warmup: Turns before them.
        tick: Called after each turn, for a progress bar.
    """
    running = [method for method in methods if method.model is not None]
    channels = max((image_channels(method.model.backbone) for method in running), default=3)
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, channels, *image_size, generator=generator).to(device)
    times: dict[int, list[float]] = {id(method): [] for method in running}
    for method in running:
        method.model.to(device)
    for turn, order in enumerate(in_turns(running, warmup + rounds)):
        for method in order:
            if id(method) in times:
                try:
                    seconds, memory = _time(method.model, image)
                except Exception as error:  # noqa: BLE001 one row must not take the table with it
                    method.row.notes.append(f'cannot be measured: {one_line(error)}')
                    del times[id(method)]
                    method.model.to('cpu')
                else:
                    if turn >= warmup:
                        times[id(method)].append(seconds)
                        method.row.memory = memory
            tick()
    for method in running:
        if id(method) in times:
            method.row.fps = 1 / statistics.median(times[id(method)])


@torch.no_grad()
def _time(model: nn.Module, image: Tensor) -> tuple[float, int | None]:
    cuda = image.device.type == 'cuda'
    others = 0
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        own = sum(t.numel() * t.element_size() for t in model.state_dict().values())
        others = torch.cuda.memory_allocated() - own

    def predict() -> None:
        logits = model(image, mode='tensor')
        size, aligned = image.shape[2:], model.align_corners
        F.interpolate(logits, size=size, mode='bilinear', align_corners=aligned)

    seconds = seconds_of(predict, str(image.device))
    return seconds, torch.cuda.max_memory_allocated() - others if cuda else None


def machine(device: str) -> str:
    """What a device is: the name of a GPU, or processor and number of its cores."""
    name = processor(device)
    return name if device.startswith('cuda') else f'{name}, {os.cpu_count()} cores'


def conditions(image_size: tuple[int, int], device: str) -> str:
    """What the measured figures hold for, in a line."""
    where = machine(device)
    if not device.startswith('cuda'):
        where = f'CPU {where}, {torch.get_num_threads()} threads'
    return (
        f'One {image_size[0]}x{image_size[1]} image at a time, float32, {where}, '
        f'Python {platform.python_version()}, torch {torch.__version__}.'
    )
