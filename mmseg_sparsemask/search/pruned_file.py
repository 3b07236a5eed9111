"""``pruned.pth``: the found network with the weights it was found with."""

from __future__ import annotations

import os

import torch
from torch import nn

from mmseg_sparsemask.models.decode_heads import FDNHead
from mmseg_sparsemask.models.decode_heads.fusion_head import FusionHead
from mmseg_sparsemask.search.record import Search
from mmseg_sparsemask.utils.checkpoints import write_checkpoint


def write_pruned(
    path: str | os.PathLike[str], search: Search, pruned: nn.Module, difference: float
) -> None:
    """Write the whole network with the pruned decoder in place of the supernet.

    The file is a checkpoint like any other for a config with the `SparseMaskHead`: of tensors and
    plain values, on the CPU, without an optimizer. Where the supernet is one of several decode
    heads, or an auxiliary head, the pruned one is the decode head.

    Args:
        path: The file, usually ``pruned.pth``.
        search: What was searched.
        pruned: The decoder that inherits from its supernet.
        difference: From `largest_difference`.

    Raises:
        ValueError: The file cannot be written.
    """
    prefix = 'decode_head.' if search.prefix else ''
    others = search.state.items()
    network = {n: v for n, v in others if not n.startswith((prefix, search.prefix))}
    network |= {f'{prefix}{name}': value for name, value in pruned.state_dict().items()}
    network = {name: value.detach().cpu() for name, value in network.items()}
    known = {'dataset_meta': search.dataset_meta, 'largest_difference': difference}
    write_checkpoint(path, network, {**search.meta, **known})


@torch.no_grad()
def largest_difference(head: FDNHead, pruned: FusionHead, size: int = 256) -> float:
    """Largest difference of two decoders' logits on random features, relative to the largest logit.

    Args:
        head: The supernet, in evaluation mode.
        pruned: The decoder that inherits from it, in evaluation mode.
        size: Side of the image that the features would belong to, in pixels.
    """
    generator = torch.Generator().manual_seed(0)
    like = head.conv_seg.weight
    features = []
    for channels, stride in zip(head.in_channels, head.connectivity.strides):
        side = -(-size // stride)
        feature = torch.randn(2, channels, side, side, generator=generator)
        features.append(feature.to(device=like.device, dtype=like.dtype))
    expected = head.decode(features)
    difference = (pruned.decode(features) - expected).abs().max() / expected.abs().max()
    return float(difference)
