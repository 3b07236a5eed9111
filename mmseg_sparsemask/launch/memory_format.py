"""Weights in the order in which a CPU trains fastest."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.hooks import Hook
from mmseg.registry import HOOKS


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Trains in torch's channels-last memory format; results are the same up to rounding.

    Convolutions whose weights are in that format give features in it, so the model alone has to be
    changed. Batch normalisation and 1x1 convolutions then need fewer passes over memory
    (docs/performance.md has the measurement).
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner: Any) -> None:
        """Change the model's memory format; the optimizer's parameters stay the same objects."""
        runner.model.to(memory_format=torch.channels_last)
