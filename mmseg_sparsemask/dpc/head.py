"""The dense prediction cell as a decode head and as a neck.

Source: Chen et al., "Searching for Efficient Multi-Scale Architectures for Dense Image Prediction",
NeurIPS 2018 (arXiv:1809.04184), sections 3.2 and 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.model import BaseModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_sparsemask.dpc.modules import DensePredictionCell, ProjectedCell


@MODELS.register_module()
class DPCHead(BaseDecodeHead):
    """A dense prediction cell as a decode head: cell, projection, classifier.

    Args:
        in_channels: Channels of the feature at ``in_index``.
        channels: Output channels of the projection, 256 in the paper.
        num_classes: Number of classes.
        cell: A preset's name (``dpc_cityscapes``, ``aspp``, ``aspp_no_pooling``), a path to a JSON
            file, the versioned dict, or the published list.
        filters: Output channels of every branch; ``channels`` if None.
        output_stride: Stride of the feature (8, 16, 32); the rates of a cell are written for 16.
        pooling: ``grid`` averages over each grid cell (the paper's text); ``window`` slides a
            window of that size with stride 1 and no padding (the published code).
        dropout_ratio: Dropout of single values of the concatenation; there is none before the
            classifier.
        align_corners: Whether corners are aligned in every resize.
        kwargs: The other arguments of mmseg's ``BaseDecodeHead``.

    Raises:
        ValueError: A bad cell, an unknown pooling, a feature with other channels.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int = 256,
        *,
        num_classes: int,
        cell: Any = 'dpc_cityscapes',
        filters: int | None = None,
        output_stride: int = 16,
        pooling: str = 'grid',
        dropout_ratio: float = 0.1,
        align_corners: bool = True,
        norm_cfg: dict[str, Any] | None = dict(type='BN'),  # noqa: B006
        **kwargs: Any,
    ) -> None:
        super().__init__(
            in_channels,
            channels,
            num_classes=num_classes,
            dropout_ratio=0,
            align_corners=align_corners,
            norm_cfg=norm_cfg,
            **kwargs,
        )
        if self.input_transform is not None:
            raise ValueError(
                'DPCHead takes one feature: leave input_transform out and give in_index as an '
                f'integer, got input_transform={self.input_transform!r}'
            )
        filters = channels if filters is None else filters
        settings = (output_stride, pooling, align_corners, norm_cfg, self.act_cfg)
        branches = DensePredictionCell(cell, in_channels, filters, *settings)
        self.context = ProjectedCell(branches, channels, dropout_ratio)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits (N, num_classes, H, W) at the size of the feature.

        Args:
            inputs: The backbone's features; item ``in_index`` is (N, in_channels, H, W).
        """
        return self.cls_seg(self.context(self._transform_inputs(inputs)))


@MODELS.register_module()
class DPCNeck(BaseModule):
    """A dense prediction cell on one of several features; the others pass unchanged.

    With a decoder that fuses many scales behind it (``FDNHead``, ``SparseMaskHead``), the coarsest
    feature then carries the cell's context.

    Args:
        in_channels: Channels of all features, as the backbone gives them.
        channels: Channels of the feature that the cell replaces.
        in_index: Which feature the cell takes; -1, the coarsest, by default.
        cell: As in `DPCHead`.
        filters: Output channels of every branch; ``channels`` if None.
        output_stride: Stride of that feature.
        pooling: As in `DPCHead`.
        dropout_ratio: As in `DPCHead`.
        align_corners: Whether corners are aligned in the resize after a pooling.
        norm_cfg: Normalisation layer.
        act_cfg: Activation layer.

    Raises:
        ValueError: ``in_index`` out of range, or what `DensePredictionCell` refuses.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int = 256,
        in_index: int = -1,
        cell: Any = 'dpc_cityscapes',
        filters: int | None = None,
        output_stride: int = 16,
        pooling: str = 'grid',
        dropout_ratio: float = 0.1,
        align_corners: bool = True,
        norm_cfg: dict[str, Any] | None = dict(type='BN'),  # noqa: B006
        act_cfg: dict[str, Any] | None = dict(type='ReLU'),  # noqa: B006
    ) -> None:
        super().__init__()
        count = len(in_channels)
        if not -count <= in_index < count:
            raise ValueError(f'in_index must lie in [-{count}, {count - 1}], got {in_index}')
        self.in_index = in_index % count
        self.out_channels = list(in_channels)
        self.out_channels[self.in_index] = channels
        filters = channels if filters is None else filters
        settings = (output_stride, pooling, align_corners, norm_cfg, act_cfg)
        branches = DensePredictionCell(cell, in_channels[self.in_index], filters, *settings)
        self.context = ProjectedCell(branches, channels, dropout_ratio)

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The features with item ``in_index`` replaced by (N, channels, H, W) of the same size."""
        outputs = list(inputs)
        if len(outputs) != len(self.out_channels):
            raise ValueError(
                f'DPCNeck was given in_channels for {len(self.out_channels)} features, the '
                f'backbone gives {len(outputs)}'
            )
        outputs[self.in_index] = self.context(outputs[self.in_index])
        return tuple(outputs)
