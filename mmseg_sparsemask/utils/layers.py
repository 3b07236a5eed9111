"""Layers that configs name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmseg.registry import MODELS
from torch import nn


def build_activation(act_cfg: Mapping[str, Any], inplace: bool = False) -> nn.Module:
    """Any registered activation, whether its class knows the argument `inplace` or not.

    Args:
        act_cfg: Config of the activation. An ``inplace`` in it does not count.
        inplace: Whether the activation overwrites its input, if it has such a form.
    """
    act: nn.Module = MODELS.build({k: v for k, v in act_cfg.items() if k != 'inplace'})
    for module in act.modules():
        if hasattr(module, 'inplace'):
            module.inplace = inplace
    return act
