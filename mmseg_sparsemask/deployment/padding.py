"""Convolutions that pad as TensorFlow does ('SAME'), written so that they can be traced."""

from __future__ import annotations

import sys

import torch.nn.functional as F
from mmcv.cnn.bricks import Conv2dAdaptivePadding
from torch import Tensor, nn


class SameConv2d(nn.Conv2d):
    """A convolution whose output has ``ceil(size / stride)`` positions a side.

    The libraries round up, which leaves the exporter with an expression for the output's size that
    doubles with each such convolution: five of them, as in EfficientNet, are not traced within
    seven minutes. Written with a division that rounds down, the sizes are those of any padded
    convolution, ``(size - 1) // stride + 1``.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """See the class."""
        top, bottom = self._margins(0, maps.shape[-2])
        left, right = self._margins(1, maps.shape[-1])
        padded = F.pad(maps, (left, right, top, bottom))
        return F.conv2d(padded, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)

    def _margins(self, axis: int, size: int) -> tuple[int, int]:
        """Zeros before and after; where their number is odd, one more after."""
        stride, reach = self.stride[axis], _reach(self, axis)
        margin = (size - 1) // stride * stride + reach - size
        return margin // 2, margin - margin // 2


def _reach(conv: nn.Conv2d, axis: int) -> int:
    """Positions from the first that a kernel covers to the last, both included."""
    return (conv.kernel_size[axis] - 1) * conv.dilation[axis] + 1


def timm_layer(name: str) -> type | None:
    """A class of TIMM, an extra; None if nobody has loaded it, and so has none of its modules."""
    return getattr(sys.modules.get('timm.layers'), name, None)


def use_same_convs(module: nn.Module) -> None:
    """Let MMCV's and TIMM's convolutions of this kind be `SameConv2d`, in place.

    Those that skip positions (kernels that reach less far than their stride) stay as they are.
    """
    kinds = (Conv2dAdaptivePadding, timm_layer('Conv2dSame'))
    for conv in module.modules():
        if type(conv) in kinds and all(_reach(conv, axis) >= conv.stride[axis] for axis in (0, 1)):
            # Only what it does with its state changes; weights, hooks and place are kept.
            conv.__class__ = SameConv2d
