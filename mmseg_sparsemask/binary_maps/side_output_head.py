"""Deeply supervised one-channel heads: what HED and DSS share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from mmseg.utils import SampleList
from torch import Tensor, nn

from mmseg_sparsemask.utils.one_output import check_one_output


def mean_of_probabilities(logits: Sequence[Tensor]) -> Tensor:
    """Logits whose sigmoid is the mean of the sigmoids of several logits.

    Args:
        logits: Logits of equal shape.

    Returns:
        The same shape, in float32 or better: half precision has no number just below 1.
    """
    stacked = torch.stack(list(logits))
    exact = stacked.to(torch.promote_types(stacked.dtype, torch.float32))
    return torch.logit(exact.sigmoid().mean(dim=0), eps=1e-6)


class SideOutputHead(BaseDecodeHead):
    """A one-channel map from each feature, a learned sum of them, and a loss on every one.

    A subclass gives `side_outputs`. The losses in ``loss_decode`` apply to each side output
    and to the fusion; the log shows their sum under the loss's name.

    Args:
        in_channels: Channels of the features, finest first.
        in_index: Their places in the backbone's tuple.
        average_with: Places of side outputs (0 = finest) whose probabilities are averaged with
            the fusion's when predicting; none = the fusion alone.
        threshold: Above which a pixel counts as foreground in label maps.
        loss_decode: One loss or several; `BinaryCrossEntropyLoss` if None.
        align_corners: Whether corners are aligned in the resizing.
        ignore_index: Label that does not count.
        init_cfg: Initialisation of the layers a subclass adds.

    Raises:
        ValueError: When channels and places differ in number or ``average_with`` is out of range.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        in_index: Sequence[int],
        average_with: Sequence[int] = (),
        threshold: float = 0.5,
        loss_decode: dict | Sequence[dict] | None = None,
        align_corners: bool = False,
        ignore_index: int = 255,
        init_cfg: dict | list | None = None,
    ) -> None:
        if len(in_channels) != len(in_index) or not in_channels:
            raise ValueError(
                'expected one in_index per in_channels, got '
                f'in_channels={list(in_channels)}, in_index={list(in_index)}'
            )
        if any(not 0 <= side < len(in_channels) for side in average_with):
            raise ValueError(
                f'average_with names side outputs 0 to {len(in_channels) - 1}, '
                f'got {list(average_with)}'
            )
        super().__init__(
            list(in_channels),
            # The classifier of the base class is the fusion: one weight per side output.
            channels=len(in_channels),
            num_classes=2,
            out_channels=1,
            threshold=threshold,
            dropout_ratio=0,
            in_index=list(in_index),
            input_transform='multiple_select',
            loss_decode=loss_decode or dict(type='BinaryCrossEntropyLoss'),
            ignore_index=ignore_index,
            align_corners=align_corners,
            init_cfg=init_cfg,
        )
        self.average_with = tuple(average_with)

    def init_weights(self) -> None:
        """Initialise as configured, the fusion as the mean of the side outputs."""
        super().init_weights()
        nn.init.constant_(self.conv_seg.weight, 1 / len(self.in_channels))
        nn.init.zeros_(self.conv_seg.bias)

    @abstractmethod
    def side_outputs(self, feats: Sequence[Tensor]) -> list[Tensor]:
        """Side logits, each (N, 1, h_i, w_i), finest first."""

    def _upsample(self, x: Tensor, size: torch.Size) -> Tensor:
        return resize(x, size=size, mode='bilinear', align_corners=self.align_corners)

    def forward_all(self, inputs: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        """Side logits and fused logits, all of the finest feature's size.

        Args:
            inputs: The backbone's features.

        Returns:
            One (N, 1, H, W) per side output, finest first, and the fusion (N, 1, H, W).
        """
        feats = self._transform_inputs(inputs)
        size = feats[0].shape[2:]
        sides = [self._upsample(side, size) for side in self.side_outputs(feats)]
        return sides, self.conv_seg(torch.cat(sides, dim=1))

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits of the prediction, (N, 1, H, W)."""
        sides, fused = self.forward_all(inputs)
        if not self.average_with:
            return fused
        return mean_of_probabilities([fused, *(sides[i] for i in self.average_with)])

    def loss(
        self, inputs: Sequence[Tensor], batch_data_samples: SampleList, train_cfg: dict
    ) -> dict[str, Tensor]:
        """Losses of the fusion and of each side output, summed by name.

        A batch without a labelled pixel, as after cropping into padding, contributes 0.

        Raises:
            ValueError: A loss with a softmax.
        """
        check_one_output(self.loss_decode)
        sides, fused = self.forward_all(inputs)
        label = self._stack_batch_gt(batch_data_samples).squeeze(1)
        criteria = (
            self.loss_decode if isinstance(self.loss_decode, nn.ModuleList) else [self.loss_decode]
        )
        losses: dict[str, Tensor] = {}
        if bool((label == self.ignore_index).all()):
            # Tied to the logits, so that every parameter has a gradient in every process.
            nothing = sum((logits.sum() for logits in sides), fused.sum()) * 0
            return {criterion.loss_name: nothing for criterion in criteria}
        for logits in (fused, *sides):
            logits = self._upsample(logits, label.shape[1:])
            for criterion in criteria:
                value = criterion(logits, label, ignore_index=self.ignore_index)
                name = criterion.loss_name
                losses[name] = losses[name] + value if name in losses else value
        return losses
