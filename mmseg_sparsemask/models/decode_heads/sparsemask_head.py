"""The pruned decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dist import get_world_size
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_sparsemask.connectivity import DecoderShape
from mmseg_sparsemask.connectivity.io import ConnectivityLike, resolve
from mmseg_sparsemask.models.decode_heads.fusion import statistics_from_moments
from mmseg_sparsemask.models.decode_heads.fusion_head import FusionHead, holds_decoder

#: Least deviation of what a connection gives, relative to its mean, that a balanced start sees.
LEAST_DEVIATION = 0.1


@MODELS.register_module()
class SparseMaskHead(FusionHead):
    """Decoder of a given connectivity, to train from scratch (SparseMask, Equation 4).

    ``D_l = BN( sum_t up( conv1x1_t( act(t) ) ) )`` over the sources t of stage ``Dl``; the
    classifier is a 1x1 convolution of ``act(D_1)``, or of the finest stage there is.

    Sources differ in scale: a connection from an encoder feature gives several times as much as one
    from a stage, so the features would drown the stages. A balanced start evens this out: in the
    first pass in training, the weights of each connection are divided by the deviation of its
    output. This is data-dependent initialisation as in Salimans and Kingma, "Weight normalization"
    (NIPS 2016, Section 3), and Mishkin and Matas, "All you need is a good init" (ICLR 2016).
    Weights that were loaded are not divided.

    Args:
        connectivity: A preset's name, a connectivity.json (path or content),
            ``dict(source=..., strides=[...])`` for one transferred to other strides, or
            ``dict(source='random', seed=..., parameters=...)``. See ``docs/connectivity.md``.
        in_channels: Channels of ``E1`` .. ``EL``.
        in_index: Their places in the tuple that the backbone gives.
        strides: Their strides. Needed by presets that fit any strides, such as ``'unet'``, and by
            random decoders; otherwise they are only checked.
        channels: Channels of every stage.
        num_classes: Classes of the labels.
        out_channels: Outputs of the classifier, as many as classes by default.
        balanced: Start in balance; False starts as the published code does. The buffer
            ``is_balanced`` says that it was done.
        **kwargs: See `FusionHead`.

    Raises:
        ValueError: The connectivity is not valid, or does not fit channels or strides.
    """

    def __init__(
        self,
        connectivity: ConnectivityLike,
        in_channels: Sequence[int],
        in_index: Sequence[int],
        strides: Sequence[int] | None = None,
        channels: int = 64,
        *,
        num_classes: int,
        out_channels: int | None = None,
        balanced: bool = True,
        **kwargs: Any,
    ) -> None:
        shape = None
        if strides is not None:
            shape = DecoderShape(strides, in_channels, channels, out_channels or num_classes)
        super().__init__(
            resolve(connectivity, shape=shape),
            in_channels,
            in_index,
            channels,
            num_classes=num_classes,
            out_channels=out_channels,
            **kwargs,
        )
        self.balanced = balanced
        self._starting = balanced
        self.register_buffer('is_balanced', torch.tensor(not balanced))

    def decode(self, features: Sequence[Tensor]) -> Tensor:
        """Logits (N, num_classes, h, w) from ``E1`` .. ``EL``."""
        logits = super().decode(features)
        if self.training and self._starting:
            self._starting = False
            self.is_balanced.fill_(True)
        return logits

    @torch.no_grad()
    def start(self, source: str, rows: Tensor) -> None:
        """In the first pass in training: divide the weights of a source's connections."""
        if not (self.training and self._starting):
            return
        weight = self.stacked_weight(source)
        mean, variance, unit = statistics_from_moments(rows, weight, get_world_size() > 1)
        for stage, m, v in zip(
            self.users[source], (mean / unit).split(self.channels), variance.split(self.channels)
        ):
            # A source that hardly varies must not become large through what little it does.
            divisor = torch.maximum(v.mean(), LEAST_DEVIATION**2 * m.square().mean()).sqrt()
            divisor = torch.where(divisor > 0, divisor * unit, 1.0)
            if self.convs[stage][source].requires_grad:
                self.convs[stage][source].div_(divisor)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        if holds_decoder(state_dict, prefix):
            # Weights without the mark are older than it, or of a supernet: they have learned.
            done = state_dict.setdefault(f'{prefix}is_balanced', torch.tensor(True))
            self._starting = self.balanced and not bool(done)
        super()._load_from_state_dict(state_dict, prefix, *args)
