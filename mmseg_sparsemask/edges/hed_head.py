"""Holistically-Nested Edge Detection (Xie and Tu, ICCV 2015)."""

from __future__ import annotations

from collections.abc import Sequence

from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_sparsemask.binary_maps.side_output_head import SideOutputHead


@MODELS.register_module()
class HEDHead(SideOutputHead):
    """A 1x1 convolution on each feature and a learned fusion, each under its own loss.

    Published on VGG16 with the last convolution of each of the five stages (strides 1 to 16). Set
    ``average_with`` to all sides for the paper's merged output, to none for the fusion's.

    Args:
        in_channels: Channels of the features, finest first.
        in_index: Their places in the backbone's tuple.
        **kwargs: See ``SideOutputHead``.
    """

    def __init__(self, in_channels: Sequence[int], in_index: Sequence[int], **kwargs) -> None:
        kwargs.setdefault('init_cfg', dict(type='Normal', std=0.01, layer='Conv2d'))
        kwargs.setdefault('loss_decode', dict(type='BalancedBCELoss'))
        super().__init__(in_channels, in_index, **kwargs)
        self.side_convs = nn.ModuleList(nn.Conv2d(c, 1, 1) for c in self.in_channels)

    def side_outputs(self, feats: Sequence[Tensor]) -> list[Tensor]:
        """See the base class."""
        return [conv(feat) for conv, feat in zip(self.side_convs, feats)]
