"""Scores of a network that is not the runner's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.runner import Runner
from mmengine.runner.amp import autocast
from torch import nn
from tqdm import tqdm


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Context in which a model is in evaluation mode; afterwards each part is as it was."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@torch.no_grad()
def validate(runner: Runner, model: nn.Module, title: str) -> dict[str, float]:
    """Run a runner's validation on another model, without its hooks.

    Args:
        runner: It must have a validation loop. In a job of several processes all have to call this.
        model: An unwrapped segmentor in evaluation mode, on the runner's device.
        title: Shown beside the progress.

    Returns:
        The numbers that the evaluator gives, by name.
    """
    loop = runner.val_loop
    shown = tqdm(loop.dataloader, desc=title, disable=not is_main_process(), leave=False)
    for data in shown:
        with autocast(enabled=getattr(loop, 'fp16', False)):
            samples = model.val_step(data)
        loop.evaluator.process(data_samples=samples, data_batch=data)
    return numbers_of(loop.evaluator.evaluate(len(loop.dataloader.dataset)))


def numbers_of(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The results of an evaluator that are numbers, by name."""
    return {
        name: float(value)
        for name, value in metrics.items()
        if isinstance(value, (int, float)) or getattr(value, 'size', 0) == 1
    }
