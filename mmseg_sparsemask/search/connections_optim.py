"""A learning rate of their own for connection weights."""

from __future__ import annotations

import copy
from typing import Any

from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmseg.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn

from mmseg_sparsemask.models.connections import ConnectionRule


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class ConnectionsOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """The toolbox's constructor, with an absolute learning rate for the connection weights.

    How fast connections come and go must not depend on the network's learning rate: a pretrained
    encoder wants a small one, at which the weights would not cross their range within a search.
    Connection weights have no weight decay. Schedulers scale both rates alike. ::

        optim_wrapper = dict(
            constructor='ConnectionsOptimWrapperConstructor',
            paramwise_cfg=dict(connections_lr=0.024),
        )

    Args:
        optim_wrapper_cfg: As of the toolbox's constructor; the optimiser needs its ``lr``.
        paramwise_cfg: As there, and with ``connections_lr``.

    Raises:
        ValueError: No positive ``connections_lr``, or an optimiser without ``lr``.
    """

    def __init__(
        self, optim_wrapper_cfg: dict[str, Any], paramwise_cfg: dict[str, Any] | None = None
    ) -> None:
        paramwise_cfg = copy.deepcopy(dict(paramwise_cfg or {}))
        rate = paramwise_cfg.pop('connections_lr', None)
        base = optim_wrapper_cfg.get('optimizer', {}).get('lr')
        if not isinstance(rate, (int, float)) or not rate > 0:
            raise ValueError(
                'paramwise_cfg: expected connections_lr, a positive learning rate of the '
                f'connection weights, got {rate!r}'
            )
        if not base:
            raise ValueError(f'optimizer: expected a learning rate lr, got {base!r}')
        paramwise_cfg.setdefault('custom_keys', {})
        super().__init__(optim_wrapper_cfg, paramwise_cfg)
        self.of_connections = dict(lr_mult=rate / base, decay_mult=0.0)

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """The optimiser of a model, wherever the supernet is in it."""
        for name, module in getattr(model, 'module', model).named_modules():
            if isinstance(module, ConnectionRule):
                self.paramwise_cfg['custom_keys'][name] = self.of_connections
        return super().__call__(model)
