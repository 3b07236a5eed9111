"""What features a backbone gives, and the lines a decode head needs for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmseg.registry import MODELS
from torch import nn

from mmseg_sparsemask.connectivity import Feature
from mmseg_sparsemask.models.backbones.feature_taps import FeatureTaps
from mmseg_sparsemask.models.backbones.probing import describe, image_channels, probe_shapes
from mmseg_sparsemask.models.pretrained import without_weights

#: Strides are measured on an image whose sides are multiples of this: a size that a strided layer
#: has to round says less about its stride.
_EVEN = 64


@dataclass(frozen=True)
class Description:
    """Features of an encoder, and how large they are for one image.

    Attributes:
        image_size: (height, width) of the image in pixels.
        features: In the backbone's order.
        sizes: (height, width) of each.
    """

    image_size: tuple[int, int]
    features: tuple[Feature, ...]
    sizes: tuple[tuple[int, int], ...]


def describe_backbone(
    model: Mapping[str, Any], image_size: tuple[int, int] = (512, 512)
) -> Description:
    """Features that a segmentor's backbone (and neck, if it has one) hands to its heads.

    Nothing is downloaded, and where the backbone allows it nothing is computed either.

    Args:
        model: Config of the segmentor, with a ``backbone``.
        image_size: (height, width) in pixels of the image to try.

    Returns:
        One feature for each output. Modules are named for ``FeatureTaps`` only.

    Raises:
        ValueError: No backbone in the config, an image too small, or something that is no tuple
            of maps (N, C, h, w).
    """
    if not isinstance(model, Mapping) or 'backbone' not in model:
        raise ValueError('expected a config with model=dict(backbone=dict(...), ...), found none')
    backbone = MODELS.build(without_weights(model['backbone']))
    encoder = nn.Sequential(backbone)
    if model.get('neck'):
        encoder.append(MODELS.build(without_weights(model['neck'])))
    even = (-(-image_size[0] // _EVEN) * _EVEN, -(-image_size[1] // _EVEN) * _EVEN)
    taps = backbone.features if isinstance(backbone, FeatureTaps) and len(encoder) == 1 else ()
    channels = image_channels(backbone)
    features = describe(_shapes(encoder, even, channels), even, taps)
    sizes = tuple((shape[2], shape[3]) for shape in _shapes(encoder, image_size, channels))
    return Description(image_size, features, sizes)


def _shapes(
    encoder: nn.Sequential, image_size: tuple[int, int], channels: int
) -> list[tuple[int, ...]]:
    shapes = probe_shapes(encoder, image_size, channels)
    if any(len(shape) != 4 for shape in shapes):
        raise ValueError(
            f'{type(encoder[0]).__name__} gives shapes {shapes}; expected maps (N, C, h, w): set '
            'its out_indices, or tap modules with FeatureTaps'
        )
    return shapes


def feature_table(description: Description) -> str:
    """The features as a text table."""
    height, width = description.image_size
    rows = [('feature', 'module', 'channels', 'stride', f'size at {height}x{width}')]
    for feature, (h, w) in zip(description.features, description.sizes):
        numbers = (f'{feature.channels}', f'{feature.stride}', f'{h}x{w}')
        rows.append((feature.name, feature.module or '-', *numbers))
    widths = [max(map(len, column)) for column in zip(*rows)]
    return '\n'.join(
        '  '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows
    )


def config_lines(features: Sequence[Feature]) -> str:
    """``in_channels``, ``in_index`` and ``strides``, to paste into a decode head's config."""
    return (
        f'in_channels={[feature.channels for feature in features]},\n'
        f'in_index={list(range(len(features)))},\n'
        f'strides={[feature.stride for feature in features]},'
    )


def head_mismatch(head: Mapping[str, Any], features: Sequence[Feature]) -> str | None:
    """How a decode head's config contradicts the features, in words; None if it does not.

    Heads that take a single feature are left alone, and so are settings that are not there.
    """
    index = head.get('in_index')
    if not isinstance(index, Sequence) or isinstance(index, str):
        return None
    if any(not -len(features) <= place < len(features) for place in index):
        return f'in_index={list(index)}, but the backbone gives {len(features)} features'
    taken = [features[place] for place in index]
    for key, attribute in (('in_channels', 'channels'), ('strides', 'stride')):
        given = head.get(key)
        found = [getattr(feature, attribute) for feature in taken]
        if isinstance(given, Sequence) and list(given) != found:
            return f'{key}={list(given)}, but the backbone gives {found}'
    return None
