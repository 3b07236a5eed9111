"""The 1x1 convolutions of a fusion head, as modules that hooks can be put on."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_sparsemask.models.decode_heads.upsampling import as_map, as_rows, upsample_sum


class StageConvs(nn.ParameterDict):
    """The 1x1 convolutions into one stage, by source; when called, it adds up their outputs."""

    # A ParameterDict refuses to be called, and so would run no hooks.
    __call__ = nn.Module.__call__

    def forward(
        self, rows: Tensor | None, maps: Sequence[Tensor], like: Tensor, align_corners: bool
    ) -> Tensor:
        """Sum of a stage before its normalisation: see `upsample_sum`."""
        return upsample_sum(rows, maps, like, align_corners)


class RowConv(nn.Conv2d):
    """1x1 convolution as a product of rows, which is what channels_last makes of it."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) to (N, K, h, w)."""
        return as_map(F.linear(as_rows(x), self.weight.flatten(1), self.bias), x)
