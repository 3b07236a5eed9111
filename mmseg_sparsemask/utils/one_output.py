"""Losses of heads with one output channel."""

from __future__ import annotations

import torch
from torch import nn


def check_one_output(losses: nn.Module) -> None:
    """Refuse losses that cannot train one output channel: a softmax over it is always 1.

    Args:
        losses: One loss of the toolbox, or a list of them.

    Raises:
        ValueError: One gives the logits no gradient, or wants as many channels as labels.
    """
    for loss in losses if isinstance(losses, nn.ModuleList) else [losses]:
        with torch.enable_grad():
            logits = torch.linspace(-1, 2, 4).reshape(1, 1, 2, 2).requires_grad_()
            try:
                value = loss(logits, torch.tensor([[[0, 1], [1, 0]]]), ignore_index=255)
                (slope,) = torch.autograd.grad(value.sum(), logits, allow_unused=True)
            except IndexError:  # the label 1 of a softmax over one channel
                slope = None
            except Exception:  # noqa: BLE001 one that takes other arguments is not known here
                continue
        if slope is None or not slope.any():
            raise ValueError(
                f'{type(loss).__name__} takes a softmax, which over one output is always 1, so '
                'that nothing is learned; expected a loss with a sigmoid, such as '
                "dict(type='CrossEntropyLoss', use_sigmoid=True), or two outputs "
                '(num_classes=2, out_channels=2)'
            )
