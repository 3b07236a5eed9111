"""Buffers that say where a run is, and not what a network has learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.hooks import EMAHook
from mmengine.runner import Runner
from torch import Tensor, nn


def belongs_to_run(module: nn.Module, *names: str) -> None:
    """Keep buffers as they are when weights are loaded: another run counts from its own start.

    They are in the module's state dict, and what a loaded one holds is set aside for
    `take_up_run`, which only a resumed run calls.

    Args:
        module: What has the buffers, or will have them.
        names: Names of the buffers.
    """
    module.run_state = names  # type: ignore[assignment]
    module.register_load_state_dict_pre_hook(_set_aside)


def _set_aside(
    module: nn.Module, state: dict[str, Any], prefix: str, *_: Mapping[str, Any] | bool | list[str]
) -> None:
    buffers = {name: getattr(module, name, None) for name in module.run_state}  # type: ignore[union-attr]
    own = {name: value for name, value in buffers.items() if value is not None}
    held = {name: state[prefix + name] for name in own if prefix + name in state}
    module.set_aside = held  # type: ignore[assignment]
    # Its own values stand in for them, also for those that older checkpoints do not have.
    state.update((prefix + name, value.clone()) for name, value in own.items())


@torch.no_grad()
def take_up_state(model: nn.Module) -> None:
    """Continue the run whose state was loaded last; a second call has no effect."""
    for module in model.modules():
        found: dict[str, Tensor] = module.__dict__.pop('set_aside', {})
        for name, value in found.items():
            getattr(module, name).copy_(value)


def take_up_run(runner: Runner) -> None:
    """Let a resumed run continue, with its averaged network; other runs are not changed."""
    if runner.iter:
        averages = [hook.ema_model for hook in runner.hooks if isinstance(hook, EMAHook)]
        for model in [runner.model, *averages]:
            take_up_state(model)
