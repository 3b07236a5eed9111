"""Whether encoder features fit the decoder they are given to."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from mmseg_sparsemask.utils.tool_command import tool_command


def check_sizes(features: Sequence[Tensor], strides: Sequence[int]) -> None:
    """Refuse features whose sizes are not those of their strides.

    Args:
        features: ``E1`` .. ``EL``, each (N, C, h, w).
        strides: Their strides.

    Raises:
        ValueError: Two features of one stride differ in size, or one is off by more than rounding.
    """
    first: dict[int, tuple[int, int]] = {}
    for level, (feature, stride) in enumerate(zip(features, strides), 1):
        height, width = feature.shape[-2:]
        reference = first.setdefault(stride, (height, width))
        # Strided layers round up or down, so a size may be off by one position.
        scale = strides[0] / stride
        expected = [features[0].shape[-2] * scale, features[0].shape[-1] * scale]
        fits = all(abs(e - g) <= 1 + max(0.0, scale) for e, g in zip(expected, (height, width)))
        if reference != (height, width) or not fits:
            sizes = [tuple(f.shape[-2:]) for f in features]
            raise ValueError(
                f'decode head expects features of strides {list(strides)}, but E{level} has '
                f'size {height}x{width} among {sizes}; {remedy()}'
            )


def remedy() -> str:
    """What to do, for messages alone: it looks at files, which no compiler follows."""
    return f'{tool_command("describe_backbone", "CONFIG")} prints the lines to paste'
