"""Other starts of a decoder than a balanced one, for results/camvid-starts_efficientnet-lite0.yaml.

A third one needs no class of its own: an `FDNHead` on a fixed connectivity, whose connections are
always there (``SampledConnections`` with ``full_every=1``), normalises every connection while it is
trained, and gives the same labels when that is folded into its weights (`inherited_state`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_sparsemask.models import SparseMaskHead


@MODELS.register_module()
class FanInHead(SparseMaskHead):
    """Weights are drawn by the number of their inputs, so that wide sources do not drown others."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, 'balanced': False})

    def _new_weight(self, source: str) -> nn.Parameter:
        weight = super()._new_weight(source)
        nn.init.kaiming_normal_(weight, mode='fan_in', nonlinearity='relu')
        return weight


@MODELS.register_module()
class NormedFeaturesHead(SparseMaskHead):
    """Each encoder feature is normalised, and learns a scale and a shift, before it is used."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, 'balanced': False})
        self.feature_norms = nn.ModuleList(nn.BatchNorm2d(width) for width in self.in_channels)

    def decode(self, features: Sequence[Tensor]) -> Tensor:
        """Logits from ``E1`` .. ``EL``."""
        return super().decode([norm(f) for norm, f in zip(self.feature_norms, features)])
