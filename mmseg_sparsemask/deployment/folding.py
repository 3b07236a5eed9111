"""Normalisations and connection weights folded into the convolutions before them."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mmseg_sparsemask.deployment.padding import SameConv2d, timm_layer
from mmseg_sparsemask.models.decode_heads.fusion_head import FusionHead


@torch.no_grad()
def fold_norms(module: nn.Module, example: Tensor) -> int:
    """Fold normalisations into the convolutions whose output they take, in place.

    Which belong together is seen from a pass, not guessed from names: the normalisation's input is
    the convolution's output itself, and nobody taps that. Each has to run exactly once.

    Args:
        module: In evaluation mode.
        example: What to run it on.

    Returns:
        How many were folded.
    """
    outputs: dict[int, tuple[nn.Conv2d, Tensor]] = {}
    calls: dict[nn.Module, int] = {}
    pairs: dict[nn.Module, nn.Conv2d] = {}

    def after_conv(conv: nn.Conv2d, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        calls[conv] = calls.get(conv, 0) + 1
        outputs[id(output)] = conv, output  # kept, so that no other tensor gets its id

    def before_norm(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        calls[norm] = calls.get(norm, 0) + 1
        if id(inputs[0]) in outputs:
            pairs[norm] = outputs[id(inputs[0])][0]

    names = {child: name for name, child in module.named_modules()}
    convs = [m for m in names if type(m) in (nn.Conv2d, SameConv2d) and not m._forward_hooks]
    rests = {m: rest for m in names if (rest := _rest_of(m)) is not None}
    norms = [m for m in rests if m.track_running_stats]
    handles = [conv.register_forward_hook(after_conv) for conv in convs]
    handles += [norm.register_forward_pre_hook(before_norm) for norm in norms]
    try:
        module(example)
    finally:
        for handle in handles:
            handle.remove()
    folded = 0
    for norm, conv in pairs.items():
        if calls[norm] == calls[conv] == 1:
            fused = fuse_conv_bn_eval(conv, norm)
            conv.weight, conv.bias = fused.weight, fused.bias
            # What tapped its output taps the output of its replacement.
            for hook in norm._forward_hooks.values():
                rests[norm].register_forward_hook(hook)
            module.set_submodule(names[norm], rests[norm])
            folded += 1
    return folded


def _rest_of(module: nn.Module) -> nn.Module | None:
    """What a normalisation does after it has normalised; None for all else.

    A subclass with a forward pass of its own may do anything. TIMM's is known: it drops out, which
    is nothing in evaluation, and activates.
    """
    if not isinstance(module, _BatchNorm):
        return None
    if type(module).forward in (_BatchNorm.forward, nn.SyncBatchNorm.forward):
        return nn.Identity()
    if type(module) is timm_layer('BatchNormAct2d'):
        return nn.Sequential(OrderedDict(drop=module.drop, act=module.act))
    return None


def connection_weights(head: FusionHead) -> dict[tuple[str, str], tuple[Tensor, Tensor]]:
    """Weight (K, C) and bias (K,) of each connection (source, stage) of a head in evaluation."""
    scales = head.weights_by_source()
    weights = {}
    for source in head.connectivity.sources():
        weight, bias = head.folded_weight(source, None, scales.get(source))
        if bias is None:
            bias = weight.new_zeros(len(weight))
        parts = zip(weight.split(head.channels), bias.split(head.channels))
        for stage, part in zip(head.users[source], parts):
            weights[source, stage] = part
    return weights


def fold_stage(stage: str, norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Scale and shift (K,) of a stage's normalisation in evaluation."""
    if not isinstance(norm, _BatchNorm) or norm.running_var is None:
        raise ValueError(
            f'{stage} is normalised by {type(norm).__name__}, which depends on its input and '
            'cannot be folded; deployed decoders need a norm_cfg of type BN or SyncBN'
        )
    scale = torch.rsqrt(norm.running_var + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight
    shift = -norm.running_mean * scale
    return scale, shift if norm.bias is None else shift + norm.bias
