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

from mmseg_sparsemask.connectivity import Connectivity
from mmseg_sparsemask.models.inheritance import pruned_head
from mmseg_sparsemask.search.record import Search
from mmseg_sparsemask.search.supernet import supernet_name
from mmseg_sparsemask.utils.runner import trained_model


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


def compare(
    runner: Runner,
    search: Search,
    connectivity: Connectivity,
    validated: tuple[int, dict[str, float]] | None = None,
) -> None:
    """Validate a search's supernet and its pruned network, and note the scores in its record.

    Args:
        runner: It has trained the search, and has a validation loop. In a job of several processes
            all have to call this.
        search: The record.
        connectivity: What is left of the supernet.
        validated: (iteration, scores) of the supernet's last validation: it is not validated again
            if that was just now.
    """
    model = trained_model(runner)
    parent, _, name = supernet_name(model).rpartition('.')
    with evaluating(model):
        if validated is not None and validated[0] == runner.iter:
            before = numbers_of(validated[1])
        else:
            before = validate(runner, model, 'validating the supernet')
            search.scores += [(runner.iter, *score) for score in main_score(before)]
        setattr(model.get_submodule(parent), name, pruned_head(search.head, connectivity))
        try:
            after = validate(runner, model, 'validating the pruned network')
        finally:
            setattr(model.get_submodule(parent), name, search.head)
    search.compared = before, after


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
            samples = model.val_step(data)  # type: ignore[operator]
        loop.evaluator.process(data_samples=samples, data_batch=data)
    return numbers_of(loop.evaluator.evaluate(len(loop.dataloader.dataset)))


def main_score(metrics: Mapping[str, Any]) -> list[tuple[str, float]]:
    """The number that a page shows of a validation, by name: mIoU, or the first; or none."""
    found = {k: v for k, v in numbers_of(metrics).items() if not k.endswith('time')}
    return [(name, found[name]) for name in ('mIoU', *found) if name in found][:1]


def numbers_of(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The results of an evaluator that are numbers, by name."""
    return {
        name: float(value)
        for name, value in metrics.items()
        if isinstance(value, (int, float)) or getattr(value, 'size', 0) == 1
    }
