"""Parameters and multiply-adds of networks."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mmseg_sparsemask.compare.rows import Row, one_line
from mmseg_sparsemask.models.backbones.probing import image_channels
from mmseg_sparsemask.models.decode_heads import FDNHead
from mmseg_sparsemask.models.decode_heads.fusion_head import FusionHead
from mmseg_sparsemask.models.pretrained import without_weights


def build_segmentor(cfg: Config) -> nn.Module:
    """The model of a config in evaluation mode, without what needs several processes."""
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    # Syncing batch statistics needs a process group and has no part in the size; nor have values.
    built = revert_sync_batchnorm(MODELS.build(without_weights(cfg.model)))
    # Not chained: some backbones' train() returns nothing.
    built.eval()
    return built


def fill_sizes(model: nn.Module, row: Row, image_size: tuple[int, int]) -> None:
    """Fill in a row's connections, parameters and multiply-adds.

    Args:
        model: An ``EncoderDecoder``, or one with several decode heads.
        row: What cannot be counted is said in its notes.
        image_size: (height, width) in pixels, for the multiply-adds.
    """
    head = model.decode_head
    row.encoder_parameters = encoder_parameters(model)
    row.decoder_parameters = decoder_parameters(head)
    connectivity = getattr(head, 'connectivity', None)
    row.connections = len(connectivity) if connectivity is not None else None
    try:
        row.encoder_multiply_adds, row.decoder_multiply_adds = multiply_adds(model, image_size)
    except Exception as error:  # noqa: BLE001
        row.notes.append(f'multiply-adds cannot be counted: {one_line(error)}')


def encoder_parameters(model: nn.Module) -> int:
    """Parameters of a segmentor's backbone, and of its neck."""
    return _parameters(model.backbone) + (_parameters(model.neck) if model.with_neck else 0)


def decoder_parameters(head: nn.Module) -> int:
    """Parameters of a decode head, or of several, without connection weights."""
    supernets = [module for module in head.modules() if isinstance(module, FDNHead)]
    return _parameters(head) - sum(_parameters(net.connections) for net in supernets)


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def multiply_adds(model: nn.Module, image_size: tuple[int, int]) -> tuple[int, int]:
    """Multiply-adds of encoder (with neck) and decode head, or heads in a row, for one image.

    Convolutions and matrix products, each multiply-add once; nothing else. Decoders with a
    connectivity are counted from that (`DecoderShape`), as their equations are written and whatever
    way they are computed; everything else as it runs on the meta device, where nothing is computed.

    Args:
        model: An ``EncoderDecoder``, or one with several decode heads.
        image_size: (height, width) in pixels.
    """
    probe = copy.deepcopy(model).to('meta')
    probe.eval()
    with torch.no_grad():
        channels = image_channels(probe.backbone)
        image = torch.zeros(1, channels, *image_size, device='meta')
        encoder = _count_products(probe.extract_feat, image)
        head = model.decode_head
        if isinstance(head, FusionHead):
            return encoder, head.shape.cost(head.connectivity, image_size).multiply_adds
        metas = [dict(img_shape=image_size)]
        return encoder, _count_products(probe.encode_decode, image, metas) - encoder


def _count_products(function: Callable[..., Any], *values: Any) -> int:
    with FlopCounterMode(display=False) as counter:
        function(*values)
    return counter.get_total_flops() // 2
