"""Mixed precision, on a GPU and on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmseg.registry import OPTIM_WRAPPERS
from torch import nn

from mmseg_sparsemask.utils.registered import type_name


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


def enable_amp(cfg: Config) -> None:
    """Train in mixed precision: the toolbox's way on a GPU, bfloat16 autocast on a CPU.

    Raises:
        ValueError: When the config has an optimiser wrapper of its own kind.
    """
    wanted = 'CPUAmpOptimWrapper' if get_device() == 'cpu' else 'AmpOptimWrapper'
    current = type_name({'type': 'OptimWrapper', **cfg.optim_wrapper})
    if current == wanted:
        print_log(f'--amp: the config has {wanted} already', logger='current')
        return
    if current not in ('OptimWrapper', 'AmpOptimWrapper', 'CPUAmpOptimWrapper'):
        raise ValueError(
            f'--amp replaces the optimiser wrapper OptimWrapper, but the config has {current}; '
            'leave out --amp and choose the precision in the config'
        )
    cfg.optim_wrapper.type = wanted
    if wanted == 'AmpOptimWrapper':
        cfg.optim_wrapper.loss_scale = 'dynamic'
    else:
        # These two belong to the wrapper for GPUs.
        cfg.optim_wrapper.pop('loss_scale', None)
        cfg.optim_wrapper.pop('dtype', None)
