"""Normalisations and connection weights folded into the convolutions before them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

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
    convs = [m for m in names if type(m) is nn.Conv2d and not m._forward_hooks]
    norms = [m for m in names if _only_normalises(m) and m.track_running_stats]
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
            _skip(module, names[norm])
            folded += 1
    return folded


def _only_normalises(module: nn.Module) -> bool:
    # A subclass with a forward pass of its own may do more (an activation, say): it stays.
    known = _BatchNorm.forward, nn.SyncBatchNorm.forward
    return isinstance(module, _BatchNorm) and type(module).forward in known


def _skip(module: nn.Module, name: str) -> None:
    """Put an identity in a module's place; who taps its output taps the identity's."""
    parent, _, last = name.rpartition('.')
    owner = module.get_submodule(parent)
    identity = nn.Identity()
    for hook in getattr(owner, last)._forward_hooks.values():
        identity.register_forward_hook(hook)
    setattr(owner, last, identity)


def connection_weights(head: FusionHead) -> dict[tuple[str, str], tuple[Tensor, Tensor]]:
    """Weight (K, C) and bias (K,) of each connection (source, stage) of a head in evaluation."""
    scales = head.weights_by_source()
    weights = {}
    for source in head.connectivity.sources():
        users = head.connectivity.users(source)
        weight, bias = head.folded_weight(source, None, scales.get(source))
        if bias is None:
            bias = weight.new_zeros(len(weight))
        for place, stage in enumerate(users):
            rows = slice(place * head.channels, (place + 1) * head.channels)
            weights[source, stage] = weight[rows], bias[rows]
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
