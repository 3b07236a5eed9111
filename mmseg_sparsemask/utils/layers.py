"""Layers that configs name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmcv.cnn import build_norm_layer
from mmseg.registry import MODELS
from torch import nn

from mmseg_sparsemask.utils.registered import type_name


def build_activation(act_cfg: Mapping[str, Any], inplace: bool = False) -> nn.Module:
    """Any registered activation, whether its class knows the argument `inplace` or not.

    Args:
        act_cfg: Config of the activation. An ``inplace`` in it does not count.
        inplace: Whether the activation overwrites its input, if it has such a form.

    Raises:
        ValueError: There is no activation of this name.
    """
    try:
        act: nn.Module = MODELS.build({k: v for k, v in act_cfg.items() if k != 'inplace'})
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            "act_cfg: expected a registered activation, as in dict(type='ReLU6'), got "
            f'{act_cfg!r:.80} ({" ".join(str(error).split()):.120})'
        ) from None
    for module in act.modules():
        if hasattr(module, 'inplace'):
            module.inplace = inplace
    return act


def build_norm(norm_cfg: Mapping[str, Any], channels: int) -> nn.Module:
    """A normalisation of maps (N, channels, h, w).

    Args:
        norm_cfg: Its config.
        channels: Their number.

    Raises:
        ValueError: There is none of this name, or it normalises something else.
    """
    try:
        norm: nn.Module = build_norm_layer(dict(norm_cfg), channels)[1]
        some = next(norm.parameters(), torch.empty(0))
        # Without batch statistics, so that one position will do.
        norm.eval()(torch.zeros(1, channels, 2, 2, device=some.device, dtype=some.dtype))
    except Exception as error:  # whatever a layer raises
        reason = ' '.join(str(error).split())
        raise ValueError(
            f"norm_cfg: expected a normalisation of maps, as in dict(type='BN'), got "
            f'{type_name(norm_cfg)} ({reason:.120})'
        ) from None
    return norm.train()
