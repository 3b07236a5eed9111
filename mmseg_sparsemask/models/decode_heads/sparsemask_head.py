"""The pruned decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmseg.registry import MODELS

from mmseg_sparsemask.connectivity import DecoderShape
from mmseg_sparsemask.connectivity.io import ConnectivityLike, resolve
from mmseg_sparsemask.models.decode_heads.fusion_head import FusionHead


@MODELS.register_module()
class SparseMaskHead(FusionHead):
    """Decoder of a given connectivity, to train from scratch (SparseMask, Equation 4).

    ``D_l = BN( sum_t up( conv1x1_t( act(t) ) ) )`` over the sources t of stage ``Dl``; the
    classifier is a 1x1 convolution of ``act(D_1)``.

    Args:
        connectivity: A preset's name, a connectivity.json (path or content),
            ``dict(source=..., strides=[...])`` for one transferred to other strides, or
            ``dict(source='random', seed=..., parameters=...)``. See ``docs/connectivity.md``.
        in_channels: Channels of ``E1`` .. ``EL``.
        in_index: Their places in the tuple that the backbone gives.
        strides: Their strides. Needed by presets that fit any strides (``'fdn'``, ``'unet'``,
            ``'sparse_acn'``); otherwise they are only checked.
        channels: Channels of every stage.
        num_classes: Classes of the labels.
        out_channels: Outputs of the classifier, as many as classes by default.
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
