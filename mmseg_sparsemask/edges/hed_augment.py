"""The augmentation of Holistically-Nested Edge Detection (Xie and Tu, ICCV 2015, section 4.1)."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmseg.registry import TRANSFORMS

IGNORE = 255


def largest_upright_rectangle(height: int, width: int, degrees: float) -> tuple[int, int]:
    """Height and width of the largest upright rectangle inside a rotated one.

    Either all four corners touch the rotated frame, or, when the frame is long and thin, two
    corners touch the long sides.

    Args:
        height: Height of the frame before rotation.
        width: Width of the frame before rotation.
        degrees: Angle of rotation.

    Returns:
        Height and width in whole pixels, rounded down, at least 1.
    """
    angle = np.deg2rad(degrees)
    sin, cos = abs(np.sin(angle)), abs(np.cos(angle))
    long, short = max(height, width), min(height, width)
    if short <= 2 * sin * cos * long or abs(sin - cos) < 1e-10:
        half = short / 2
        inner_w, inner_h = (half / sin, half / cos) if width >= height else (half / cos, half / sin)
    else:
        square = cos**2 - sin**2
        inner_w = (width * cos - height * sin) / square
        inner_h = (height * cos - width * sin) / square
    # The small number undoes rounding: 90 degrees must give exactly the swapped frame.
    return max(int(inner_h + 1e-6), 1), max(int(inner_w + 1e-6), 1)


def rotate_and_crop(array: np.ndarray, degrees: float, interpolation: int) -> np.ndarray:
    """Rotate counter-clockwise and cut the largest upright rectangle without empty corners.

    Args:
        array: (H, W) or (H, W, C).
        degrees: Angle; multiples of 90 degrees move pixels without interpolation.
        interpolation: OpenCV's flag.

    Returns:
        The rotated and cropped array.
    """
    quarter, rest = divmod(degrees % 360, 90)
    array = np.rot90(array, int(quarter))
    if rest == 0:
        return np.ascontiguousarray(array)
    height, width = array.shape[:2]
    inner_h, inner_w = largest_upright_rectangle(height, width, rest)
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), rest, 1.0)
    matrix[0, 2] += (inner_w - width) / 2
    matrix[1, 2] += (inner_h - height) / 2
    return cv2.warpAffine(
        np.ascontiguousarray(array),
        matrix,
        (inner_w, inner_h),
        flags=interpolation,
        borderMode=cv2.BORDER_REPLICATE,
    )


def scale_label(label: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a boundary label without losing lines one pixel wide.

    Enlarging takes the nearest pixel. Shrinking gives each small pixel the strongest label among
    those that fall on it: boundary before ignored before background.

    Args:
        label: (H, W) uint8 of 0, 1 and 255.
        size: Height and width.

    Returns:
        (height, width) uint8.
    """
    height, width = size
    if height >= label.shape[0] and width >= label.shape[1]:
        return cv2.resize(label, (width, height), interpolation=cv2.INTER_NEAREST)
    out = np.zeros(size, dtype=label.dtype)
    for value in (IGNORE, 1):
        rows, cols = np.nonzero(label == value)
        out[rows * height // label.shape[0], cols * width // label.shape[1]] = value
    return out


@TRANSFORMS.register_module()
class HEDAugment(BaseTransform):
    """One of the 16 rotations x 2 flips x 3 scales that HED trains on, drawn at random.

    The original wrote all 96 variants of each image to disk; drawing one each time an image comes
    up has the same distribution.

    Needs ``img`` and ``gt_seg_map`` with labels 0, 1 and 255, changes both and ``img_shape``.

    Args:
        rotations: Evenly spaced angles, 16 = steps of 22.5 degrees.
        scales: Factors of height and width.
        flip_prob: Probability of a horizontal flip.

    Raises:
        ValueError: On settings out of range.
    """

    def __init__(
        self, rotations: int = 16, scales: Sequence[float] = (0.5, 1.0, 1.5), flip_prob: float = 0.5
    ) -> None:
        if rotations < 1 or not scales or min(scales) <= 0 or not 0 <= flip_prob <= 1:
            raise ValueError(
                'expected rotations >= 1, positive scales and flip_prob in [0, 1], got '
                f'rotations={rotations}, scales={scales}, flip_prob={flip_prob}'
            )
        self.rotations = rotations
        self.scales = tuple(scales)
        self.flip_prob = flip_prob

    @cache_randomness
    def _draw(self) -> tuple[float, bool, float]:
        rotation = np.random.randint(self.rotations) * 360 / self.rotations
        flip = bool(np.random.rand() < self.flip_prob)
        return rotation, flip, self.scales[np.random.randint(len(self.scales))]

    def transform(self, results: dict) -> dict:
        """Augment image and label alike."""
        rotation, flip, scale = self._draw()
        image = rotate_and_crop(results['img'], rotation, cv2.INTER_LINEAR)
        label = rotate_and_crop(results['gt_seg_map'], rotation, cv2.INTER_NEAREST)
        if flip:
            image, label = image[:, ::-1], label[:, ::-1]
        if scale != 1:
            height, width = (max(round(side * scale), 1) for side in label.shape)
            interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            image = cv2.resize(image, (width, height), interpolation=interpolation)
            label = scale_label(label, (height, width))
        results['img'] = np.ascontiguousarray(image)
        results['gt_seg_map'] = np.ascontiguousarray(label)
        results['img_shape'] = results['img'].shape[:2]
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(rotations={self.rotations}, scales={self.scales}, '
            f'flip_prob={self.flip_prob})'
        )
