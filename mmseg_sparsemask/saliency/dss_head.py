"""Deeply supervised salient object detection with short connections (Hou et al., CVPR 2017)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_sparsemask.binary_maps.side_output_head import SideOutputHead

#: For each side output, finest first, the deeper ones it also sees: the best pattern of the paper.
SHORT_CONNECTIONS = ((2, 3, 4, 5), (2, 3, 4, 5), (4, 5), (4, 5), (), ())


@MODELS.register_module()
class DSSHead(SideOutputHead):
    """Six side outputs, the finer ones fed by the maps of deeper ones, and a learned fusion.

    Each feature passes two convolutions with ReLU and a 1x1 convolution to one channel. A side
    output with short connections then takes, by another 1x1 convolution, its own map together with
    the upsampled maps of deeper side outputs. Each side output and the fusion carry a loss. The
    prediction averages the probabilities of the fusion and of the sides 2 to 4 (counted from 1).

    Args:
        in_channels: Six numbers, finest feature first; in VGG16 those of conv1_2, conv2_2, conv3_3,
            conv4_3, conv5_3 and pool5.
        in_index: Their places in the backbone's tuple.
        side_channels: For the two convolutions of each side; those published for VGG16 by default.
        side_kernels: Their kernel sizes, odd.
        short_connections: For each side the deeper ones that feed it, counted from 0.
        average_with: See ``SideOutputHead``.
        **kwargs: See ``SideOutputHead``.

    Raises:
        ValueError: When the settings differ in number, a kernel is even, or a short connection does
            not come from a deeper side.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        in_index: Sequence[int],
        side_channels: Sequence[int] = (128, 128, 256, 256, 512, 512),
        side_kernels: Sequence[int] = (3, 3, 5, 5, 5, 7),
        short_connections: Sequence[Sequence[int]] = SHORT_CONNECTIONS,
        average_with: Sequence[int] = (1, 2, 3),
        **kwargs,
    ) -> None:
        kwargs.setdefault('init_cfg', dict(type='Kaiming', layer='Conv2d'))
        count = len(in_channels)
        if not len(side_channels) == len(side_kernels) == len(short_connections) == count:
            raise ValueError(
                f'expected {count} side_channels, side_kernels and short_connections, got '
                f'{len(side_channels)}, {len(side_kernels)} and {len(short_connections)}'
            )
        if any(kernel % 2 == 0 for kernel in side_kernels):
            raise ValueError(f'side_kernels must be odd, got {list(side_kernels)}')
        for side, sources in enumerate(short_connections):
            if any(not side < source < count for source in sources):
                raise ValueError(
                    f'side {side} can be fed by sides {side + 1} to {count - 1}, '
                    f'got {list(sources)}'
                )
        super().__init__(in_channels, in_index, average_with=average_with, **kwargs)
        self.short_connections = tuple(tuple(sources) for sources in short_connections)
        self.side_convs = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(c, width, kernel, padding=kernel // 2),
                nn.ReLU(inplace=True),
                nn.Conv2d(width, width, kernel, padding=kernel // 2),
                nn.ReLU(inplace=True),
                nn.Conv2d(width, 1, 1),
            )
            for c, width, kernel in zip(in_channels, side_channels, side_kernels)
        )
        self.short_convs = nn.ModuleList(
            nn.Conv2d(1 + len(sources), 1, 1) if sources else nn.Identity()
            for sources in self.short_connections
        )

    def init_weights(self) -> None:
        """Initialise as configured, each short connection as the mean of its maps."""
        super().init_weights()
        for conv in self.short_convs:
            if isinstance(conv, nn.Conv2d):
                nn.init.constant_(conv.weight, 1 / conv.in_channels)
                nn.init.zeros_(conv.bias)

    def side_outputs(self, feats: Sequence[Tensor]) -> list[Tensor]:
        """See the base class."""
        sides = [conv(feat) for conv, feat in zip(self.side_convs, feats)]
        for i in reversed(range(len(sides))):
            deeper = [
                self._upsample(sides[j], sides[i].shape[2:]) for j in self.short_connections[i]
            ]
            sides[i] = self.short_convs[i](torch.cat([sides[i], *deeper], dim=1))
        return sides
