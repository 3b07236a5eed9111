"""LR-ASPP for images of any size."""

from __future__ import annotations

from typing import Any

from mmseg.models.decode_heads import LRASPPHead
from mmseg.registry import MODELS
from torch import nn


@MODELS.register_module()
class GlobalLRASPPHead(LRASPPHead):
    """LR-ASPP (Howard et al., "Searching for MobileNetV3", ICCV 2019, Section 6.4).

    MMSegmentation's averages windows of 49x49 positions, which smaller features do not have. Here
    the average is that of the whole feature, as in torchvision; on 49x49 positions the two are
    the same.

    Args:
        **kwargs: See `mmseg.models.decode_heads.LRASPPHead`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.image_pool[0] = nn.AdaptiveAvgPool2d(1)
