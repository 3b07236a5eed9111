"""The pruned decoder with the supernet's own weights.

In evaluation a stage of the supernet (Equation 1) is ::

    D_l = BN_l( sum_t up( s_t W_t act(t) - s_t m_t ) ),      s_t = raw_t / sqrt(v_t + eps)

with W the convolution of a connection, m and v the running mean and variance of its normalisation,
and raw its connection weight as the forward pass has it (not divided by ``max_weight``). Resizing
keeps constants, so what is constant under the sum can move into the running mean of ``BN_l``. The
pruned decoder (Equation 4) with the convolutions ``s_t W_t`` and the running means
``mean_l + sum_t s_t m_t`` therefore *is* the supernet, as long as every dropped connection
contributes nothing or a constant:

* its weight is 0, as at the end of a search that has converged; or
* it comes from a stage that lost all its inputs. Such a stage is one vector, ``c = act(BN(0))``, at
  every position, and its user sees the constant ``s (W c - m)``, which joins the running mean
  too. A stage whose inputs are all of this kind is of this kind itself.

Otherwise, where weights above 0 are dropped or stages are merged, the two differ. The statistics of
a batch are not those of the running averages, so in training mode they differ always.
"""

from __future__ import annotations

import copy
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from mmseg_sparsemask.connectivity import Connection, Connectivity
from mmseg_sparsemask.models.decode_heads.fdn_head import FDNHead
from mmseg_sparsemask.models.decode_heads.fusion import fold_norm
from mmseg_sparsemask.models.decode_heads.fusion_head import FusionHead

Decoder = TypeVar('Decoder', bound=FusionHead)

#: What of a supernet's state turns into something else, or has no place in a pruned decoder.
_SEARCH_ONLY = ('convs.', 'norms.', 'connections.', 'connection_norms.', 'loss_connectivity.')


class _Folded(NamedTuple):
    """A connection in evaluation: ``weight @ act(t) + shift``, in double precision."""

    weight: Tensor  # (K, C): s W
    shift: Tensor  # (K,): -s m


@torch.no_grad()
def inherited_state(head: FDNHead, connectivity: Connectivity) -> dict[str, Tensor]:
    """State of the `SparseMaskHead` of a connectivity, from a supernet.

    The docstring of this module has the algebra, and says when the two give equal logits. A
    connection that the search space does not have, which merging stages can ask for, starts at 0.

    Args:
        head: The supernet. Neither it nor its mode is changed.
        connectivity: What is left of it; usually from `prune`.

    Returns:
        A state dict in the supernet's precision, on its device.

    Raises:
        ValueError: The connectivity has other strides than the supernet.
    """
    if connectivity.strides != head.connectivity.strides:
        raise ValueError(
            f'connectivity: expected the strides of the supernet {list(head.connectivity.strides)},'
            f' got {list(connectivity.strides)}; inherit first, then transfer'
        )
    folded = _folded_connections(head)
    constants = _constant_stages(head, folded)
    state = {
        name: value.clone()
        for name, value in head.state_dict().items()
        if not name.startswith(_SEARCH_ONLY)
    }
    for stage, sources in connectivity.stages.items():
        norm = head.norms[stage]
        for source in sources:
            weight = folded.get(Connection(source, stage))
            channels = head.shape.source_channels(source)
            state[f'convs.{stage}.{source}'] = (
                head.conv_seg.weight.new_zeros(head.channels, channels, 1, 1)
                if weight is None
                else weight.weight[:, :, None, None].to(head.convs[stage][source].dtype)
            )
        for name, value in norm.state_dict().items():
            state[f'norms.{stage}.{name}'] = value.clone()
        if norm.running_mean is not None:
            shift = _constant_part(stage, head.stages[stage], folded, constants, sources)
            mean = norm.running_mean
            state[f'norms.{stage}.running_mean'] = (mean.double() - shift).to(mean.dtype)
    return state


def _folded_connections(head: FDNHead) -> dict[Connection, _Folded]:
    scales = head.connections.weights_in_pass(None)
    folded = {}
    for stage, sources in head.stages.items():
        for source, scale in zip(sources, scales[stage]):
            norm = head.connection_norms[source]
            place = head.users[source].index(stage)
            rows = slice(place * head.channels, (place + 1) * head.channels)
            mean, variance = norm.running_mean[rows].double(), norm.running_var[rows].double()
            factor, shift = fold_norm(mean, variance, norm.eps, scale)
            weight = head.convs[stage][source].flatten(1).double()
            folded[Connection(source, stage)] = _Folded(factor[:, None] * weight, shift)
    return folded


def _constant_stages(head: FDNHead, folded: dict[Connection, _Folded]) -> dict[str, Tensor]:
    """Activated value (K,) of each stage that is the same at every position."""
    act = copy.deepcopy(head.act).double().eval()
    constants: dict[str, Tensor] = {}
    for stage, sources in head.stages.items():
        inputs = {source: folded[Connection(source, stage)] for source in sources}
        if all(source in constants or not part.weight.any() for source, part in inputs.items()):
            total = _constant_part(stage, sources, folded, constants)
            constants[stage] = act(_normalise(head.norms[stage], total))
    return constants


def _constant_part(
    stage: str,
    sources: tuple[str, ...],
    folded: dict[Connection, _Folded],
    constants: dict[str, Tensor],
    kept: tuple[str, ...] = (),
) -> Tensor:
    """What a stage gets that is the same at every position: (K,), in double precision.

    The shifts of kept connections, and all of the dropped ones that come from constant stages.
    """
    total: Tensor | float = 0.0
    for source in sources:
        weight, shift = folded[Connection(source, stage)]
        if source in kept:
            total = total + shift
        elif source in constants:
            total = total + shift + weight @ constants[source]
    return total if isinstance(total, Tensor) else folded[Connection(sources[0], stage)].shift * 0


def _normalise(norm: nn.Module, total: Tensor) -> Tensor:
    """A stage's normalisation of a constant (K,), in evaluation."""
    if norm.running_mean is not None:
        total = (total - norm.running_mean) * torch.rsqrt(norm.running_var.double() + norm.eps)
    else:
        # Without running statistics the mean of a constant is the constant.
        total = total * 0
    return total if norm.weight is None else total * norm.weight + norm.bias


def decoder_like(
    head: FDNHead, connectivity: Connectivity, kind: type[Decoder] = FusionHead
) -> Decoder:
    """A decoder of a connectivity with the settings of a supernet, and weights of its own.

    Its loss is a plain cross-entropy, not that of the supernet.

    Args:
        head: The supernet.
        connectivity: What is left of it.
        kind: Class of the decoder.
    """
    return kind(
        connectivity,
        head.in_channels,
        head.in_index,
        channels=head.channels,
        dropout_ratio=head.dropout_ratio,
        num_classes=head.num_classes,
        out_channels=head.out_channels,
        threshold=head.threshold,
        norm_cfg=head.norm_cfg,
        act_cfg=head.act_cfg,
        act_encoder=head.act_encoder,
        align_corners=head.align_corners,
        ignore_index=head.ignore_index,
        # The toolbox warns of its own default at each head.
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    )


def pruned_head(head: FDNHead, connectivity: Connectivity) -> FusionHead:
    """The decoder of a connectivity with a supernet's weights, in evaluation mode.

    It computes what a `SparseMaskHead` does and has the same state. It is made for prediction: see
    `decoder_like`.

    Args:
        head: The supernet.
        connectivity: What is left of it; usually from `prune`.

    Returns:
        On the supernet's device and in its precision.
    """
    pruned: FusionHead = decoder_like(head, connectivity)
    like = head.conv_seg.weight
    pruned.to(device=like.device, dtype=like.dtype)
    pruned.load_state_dict(inherited_state(head, connectivity))
    return pruned.eval()
