"""Times of networks in the form in which they are deployed."""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from mmengine.config import Config

from mmseg_sparsemask.compare.sizes import build_segmentor
from mmseg_sparsemask.deployment.deployed import deployed_segmentor
from mmseg_sparsemask.deployment.latency import keep_memory
from mmseg_sparsemask.models.backbones.probing import image_channels
from mmseg_sparsemask.utils.timing import timed_in_turns

Name = TypeVar('Name')


def deployed_times(
    configs: Mapping[Name, Path], image_size: tuple[int, int], device: str, rounds: int = 20
) -> dict[Name, float]:
    """Median milliseconds of one image, from the normalised image to the logits at its size.

    The networks take turns. Their time does not depend on their weights, which are random.

    Args:
        configs: By what names them in the result.
        image_size: (height, width) in pixels.
        device: As torch names it; a CPU works with all of its cores.
        rounds: Turns that count.
    """
    keep_memory()
    torch.set_num_threads(os.cpu_count() or 1)
    models = {}
    for name, config in configs.items():
        model = build_segmentor(Config.fromfile(config))
        channels = image_channels(model.backbone)
        models[name] = deployed_segmentor(model).to(device, memory_format=torch.channels_last)
    image = torch.rand(1, channels, *image_size).to(device, memory_format=torch.channels_last)
    calls = {name: partial(model, image) for name, model in models.items()}
    with torch.inference_mode():
        times = timed_in_turns(calls, rounds, device)
    return {name: 1000 * statistics.median(taken) for name, taken in times.items()}
