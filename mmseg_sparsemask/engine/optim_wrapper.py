"""Mixed precision on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from mmseg.registry import OPTIM_WRAPPERS
from torch import nn


@OPTIM_WRAPPERS.register_module()
class CPUAmpOptimWrapper(OptimWrapper):
    """The toolbox's ``OptimWrapper`` with the forward pass under bfloat16 autocast on the CPU.

    Parameters, gradients and the optimiser's state stay in float32. bfloat16 has float32's range,
    so there is no loss to scale. The toolbox's ``AmpOptimWrapper`` does the same on a GPU and
    refuses to work without one. Takes the arguments of ``OptimWrapper``.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Context of one training forward pass.

        Args:
            model: The model about to run, for the toolbox's gradient accumulation.
        """
        with super().optim_context(model), torch.autocast('cpu', dtype=torch.bfloat16):
            yield
