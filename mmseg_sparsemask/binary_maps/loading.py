"""What loading boundaries and masks of salient objects has in common."""

from __future__ import annotations

from typing import Any


def check_size(results: dict[str, Any], size: tuple[int, ...]) -> None:
    """Make sure that an annotation is as large as its image, if that was loaded before it.

    Args:
        results: What a pipeline has so far.
        size: Height and width of the annotation.

    Raises:
        ValueError: The image has another size.
    """
    shape = results.get('ori_shape')
    if shape is not None and tuple(shape[:2]) != size:
        raise ValueError(
            f'{results["seg_map_path"]} is {size}, the image {tuple(shape[:2])} (H, W); '
            'annotation and image must have one size'
        )
