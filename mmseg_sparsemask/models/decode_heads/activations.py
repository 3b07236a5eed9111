"""Activations that overwrite their input."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class _ReLU6(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.mark_dirty(x)
        x.clamp_(0, 6)
        ctx.save_for_backward(x)
        return x

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (output,) = ctx.saved_tensors
        # The output lies between the bounds exactly where the input did.
        return torch.ops.aten.hardtanh_backward(grad, output, 0, 6)


class InPlaceReLU6(nn.Module):
    """ReLU6 that overwrites its input and keeps its output for the backward pass.

    The library's in-place form keeps a copy of the input, which costs time and memory; the next
    layer keeps the output anyway.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Clamp a map of any shape to [0, 6]; it must not be needed before the activation."""
        # Nothing to keep without gradients, and a compiler decides for itself.
        if torch.compiler.is_compiling() or not torch.is_grad_enabled():
            return F.relu6(x, inplace=True)
        return _ReLU6.apply(x)


def in_place(act: nn.Module) -> Callable[[Tensor], Tensor]:
    """A copy of an activation that overwrites its input, if there is such a form of it.

    One with parameters serves itself. What is returned then is no module, so that whoever keeps
    both has the parameters once.
    """
    if type(act) is nn.ReLU6:
        return InPlaceReLU6()
    if act.state_dict():
        return act.__call__
    act = copy.deepcopy(act)
    if hasattr(act, 'inplace'):
        act.inplace = True  # type: ignore[assignment]
    return act
