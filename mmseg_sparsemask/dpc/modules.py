"""The dense prediction cell as a module.

Source: Chen et al., "Searching for Efficient Multi-Scale Architectures for Dense Image Prediction",
NeurIPS 2018 (arXiv:1809.04184), sections 3.2 and 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule, kaiming_init
from torch import Tensor, nn

from mmseg_sparsemask.dpc.cell import FEATURE, POOL, SEP3X3
from mmseg_sparsemask.dpc.cost import POOLING_MODES, CellCost, cell_cost, window_size
from mmseg_sparsemask.dpc.presets import resolve_cell
from mmseg_sparsemask.utils.checks import check_one_of, check_whole
from mmseg_sparsemask.utils.layers import build_activation, build_norm

RATE_STRIDE = 16
"""Rates of a cell are written for features of this output stride."""


def scaled_rate(rate: tuple[int, int], output_stride: int) -> tuple[int, int]:
    """Rates for another output stride: doubled at 8, halved (rounded up, at least 1) at 32.

    Args:
        rate: (height, width) at output stride 16.
        output_stride: That of the feature, at least 1.

    Returns:
        (height, width) at ``output_stride``.
    """
    height, width = (
        max(1, (2 * r * RATE_STRIDE + output_stride) // (2 * output_stride)) for r in rate
    )
    return height, width


@dataclass(frozen=True)
class Layers:
    """What stands behind each convolution of a cell.

    Args:
        norm_cfg: Normalisation layer; none if None.
        act_cfg: Activation layer; none if None.
    """

    norm_cfg: dict[str, Any] | None
    act_cfg: dict[str, Any] | None

    def norm(self, channels: int) -> nn.Module:
        """A normalisation."""
        return build_norm(self.norm_cfg, channels) if self.norm_cfg else nn.Identity()

    def act(self) -> nn.Module:
        """An activation that leaves its input as it is."""
        return build_activation(self.act_cfg) if self.act_cfg else nn.Identity()

    def pointwise(self, in_channels: int, channels: int) -> ConvModule:
        """A 1x1 convolution with both."""
        conv = ConvModule(
            in_channels, channels, 1, bias=False, norm_cfg=self.norm_cfg, act_cfg=None
        )
        # ConvModule itself gives `inplace` to classes that do not know it.
        if self.act_cfg:
            conv.activate = build_activation(self.act_cfg, inplace=True)
            conv.with_activation = True
            conv.act_cfg = self.act_cfg  # which `init_weights` looks at
        return conv


class AtrousDepthwiseConv2d(nn.Conv2d):
    """A 3x3 depthwise convolution with 'same' padding, cheaper to train where rates are large.

    Two exact rewrites, in training only, so that the graph that is exported is one convolution.
    Where a rate reaches beyond the feature, the outer taps see nothing but padding and are left
    out. On a CPU, where dilated depthwise kernels are slow, the pixels of equal phase (row modulo
    rate, column modulo rate) are gathered into small images and convolved without dilation.

    Args:
        channels: Input and output channels.
        rate: (height, width) dilation.
    """

    def __init__(self, channels: int, rate: tuple[int, int]) -> None:
        super().__init__(
            channels, channels, 3, padding=rate, dilation=rate, groups=channels, bias=False
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        if not self.training:
            return super().forward(x)
        height, width = x.shape[2:]
        rate_h, rate_w = self.dilation
        weight = self.weight
        if rate_h >= height:
            weight, rate_h = weight[:, :, 1:2], 1
        if rate_w >= width:
            weight, rate_w = weight[:, :, :, 1:2], 1
        if weight.shape[2:] == (1, 1):
            return x * weight.view(1, -1, 1, 1)
        pad_h = rate_h if weight.shape[2] == 3 else 0
        pad_w = rate_w if weight.shape[3] == 3 else 0
        if x.is_cuda or (rate_h, rate_w) == (1, 1):
            return F.conv2d(x, weight, None, 1, (pad_h, pad_w), (rate_h, rate_w), self.groups)
        n, c = x.shape[:2]
        rows, columns = -(-height // rate_h), -(-width // rate_w)
        x = F.pad(x, (0, columns * rate_w - width, 0, rows * rate_h - height))
        x = x.view(n, c, rows, rate_h, columns, rate_w).permute(0, 3, 5, 1, 2, 4)
        x = x.reshape(n * rate_h * rate_w, c, rows, columns)
        x = F.conv2d(x, weight, None, 1, (pad_h // rate_h, pad_w // rate_w), 1, self.groups)
        x = x.view(n, rate_h, rate_w, c, rows, columns).permute(0, 3, 4, 1, 5, 2)
        x = x.reshape(n, c, rows * rate_h, columns * rate_w)
        return x[:, :, :height, :width]


class SeparableBranch(BaseModule):
    """Depthwise 3x3 (BN, activation), then pointwise (BN, activation).

    Args:
        in_channels: Channels in.
        filters: Channels out.
        rate: (height, width), already scaled to the output stride.
        layers: Behind both convolutions.
    """

    def __init__(
        self, in_channels: int, filters: int, rate: tuple[int, int], layers: Layers
    ) -> None:
        super().__init__()
        self.depthwise = AtrousDepthwiseConv2d(in_channels, rate)
        kaiming_init(self.depthwise)
        self.norm = layers.norm(in_channels)
        self.act = layers.act()
        self.pointwise = layers.pointwise(in_channels, filters)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, filters, H, W)."""
        return self.pointwise(self.act(self.norm(self.depthwise(x))))


class PoolingBranch(BaseModule):
    """Average pooling over a grid, 1x1 convolution (BN, activation), bilinear back.

    Args:
        conv: The convolution.
        grid: (height, width) of the grid.
        mode: ``grid`` averages each grid cell, as the paper's text says; ``window`` slides a
            window of the size of a grid cell with stride 1 and no padding, as the published code
            does. Both are the same for a 1x1 grid.
        align_corners: Whether corners are aligned in the bilinear resize.
    """

    def __init__(
        self, conv: nn.Module, grid: tuple[int, int], mode: str, align_corners: bool
    ) -> None:
        super().__init__()
        self.conv = conv
        self.grid = grid
        self.mode = mode
        self.align_corners = align_corners

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, filters, H, W)."""
        size = x.shape[2:]
        if self.mode == 'grid':
            pooled = F.adaptive_avg_pool2d(x, self.grid)
        else:
            pooled = F.avg_pool2d(x, window_size((size[0], size[1]), self.grid), stride=1)
        return F.interpolate(
            self.conv(pooled), size=size, mode='bilinear', align_corners=self.align_corners
        )


class DensePredictionCell(BaseModule):
    """All branches of a cell, concatenated in the order of the cell.

    Args:
        cell: Anything that `resolve_cell` reads.
        in_channels: Channels of the feature.
        filters: Output channels of every branch.
        output_stride: Stride of the feature; rates are written for 16 and scale with it.
        pooling: ``grid`` (the paper's text) or ``window`` (the published code).
        align_corners: Whether corners are aligned in the resize after a pooling.
        norm_cfg: Normalisation layer.
        act_cfg: Activation layer.

    Raises:
        ValueError: A bad cell, an unknown pooling, a number below 1.
    """

    def __init__(
        self,
        cell: Any,
        in_channels: int,
        filters: int = 256,
        output_stride: int = 16,
        pooling: str = 'grid',
        align_corners: bool = True,
        norm_cfg: dict[str, Any] | None = dict(type='BN'),  # noqa: B006
        act_cfg: dict[str, Any] | None = dict(type='ReLU'),  # noqa: B006
    ) -> None:
        super().__init__()
        check_one_of('pooling', pooling, POOLING_MODES)
        check_whole(1, in_channels=in_channels, filters=filters, output_stride=output_stride)
        self.cell = resolve_cell(cell)
        self.in_channels = in_channels
        self.filters = filters
        self.pooling = pooling
        self.branches = nn.ModuleList()
        self.layers = layers = Layers(norm_cfg, act_cfg)
        for branch in self.cell.branches:
            source = in_channels if branch.input == FEATURE else filters
            if branch.op.kind == SEP3X3:
                rate = scaled_rate(branch.op.size, output_stride)
                module: nn.Module = SeparableBranch(source, filters, rate, layers)
            else:
                module = layers.pointwise(source, filters)
            if branch.op.kind == POOL:
                module = PoolingBranch(module, branch.op.size, pooling, align_corners)
            self.branches.append(module)

    @property
    def out_channels(self) -> int:
        """Channels of the concatenation."""
        return self.filters * len(self.cell)

    def cost(self, size: tuple[int, int], channels: int) -> CellCost:
        """Count this cell on a feature of ``size`` with a projection to ``channels``."""
        return cell_cost(self.cell, self.in_channels, size, self.filters, channels, self.pooling)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, H, W).

        Raises:
            ValueError: Another number of channels.
        """
        if x.shape[1] != self.in_channels:
            raise ValueError(
                f'the cell was built for {self.in_channels} input channels, got a feature of '
                f'{x.shape[1]}; set in_channels, or in_index, to the feature meant'
            )
        outputs: list[Tensor] = []
        for branch, module in zip(self.cell.branches, self.branches, strict=True):
            outputs.append(module(x if branch.input == FEATURE else outputs[branch.input]))
        return torch.cat(outputs, dim=1)


class ProjectedCell(BaseModule):
    """A cell, dropout on its concatenation, and a 1x1 projection (BN, activation).

    Args:
        cell: The cell; the projection has its layers behind it, too.
        channels: Output channels of the projection.
        dropout_ratio: Share of single values, in [0, 1).
    """

    def __init__(self, cell: DensePredictionCell, channels: int, dropout_ratio: float) -> None:
        super().__init__()
        self.cell = cell
        self.dropout = nn.Dropout(dropout_ratio)
        self.project = cell.layers.pointwise(cell.out_channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, channels, H, W)."""
        return self.project(self.dropout(self.cell(x)))
