"""What features a backbone gives, and the lines a decode head needs for them."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_sparsemask.connectivity import Feature
from mmseg_sparsemask.connectivity.cost import feature_size
from mmseg_sparsemask.models.backbones.feature_taps import FeatureTaps, describe, probe_shapes


class _Encoder(nn.Module):
    """Backbone and neck, as a decode head sees them."""

    def __init__(self, backbone: nn.Module, neck: nn.Module | None) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = neck

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        features = self.backbone(images)
        return tuple(features if self.neck is None else self.neck(features))


def describe_features(
    model: Mapping[str, Any], image_size: tuple[int, int] = (512, 512)
) -> tuple[Feature, ...]:
    """Features that a segmentor's backbone (and neck, if it has one) hands to its heads.

    Nothing is downloaded, and where the backbone allows it nothing is computed either.

    Args:
        model: Config of the segmentor, with a ``backbone``.
        image_size: (height, width) in pixels of the image to try.

    Returns:
        One for each feature, in the backbone's order. Modules are named for ``FeatureTaps`` only.

    Raises:
        ValueError: No backbone in the config, an image too small, or something that is no tuple
            of maps (N, C, h, w).
    """
    if not isinstance(model, Mapping) or 'backbone' not in model:
        raise ValueError('expected a config with model=dict(backbone=dict(...), ...), found none')
    backbone = MODELS.build(copy.deepcopy(model['backbone']))
    neck = MODELS.build(copy.deepcopy(model['neck'])) if model.get('neck') else None
    try:
        shapes = probe_shapes(_Encoder(backbone, neck), image_size)
    except RuntimeError as error:
        raise ValueError(
            f'{type(backbone).__name__} cannot take an image of {image_size[0]}x{image_size[1]} '
            f'pixels ({error}); try another --shape'
        ) from error
    if any(len(shape) != 4 for shape in shapes):
        raise ValueError(
            f'{type(backbone).__name__} gives shapes {shapes}; expected maps (N, C, h, w): set its '
            'out_indices, or tap modules with FeatureTaps'
        )
    taps = backbone.features if isinstance(backbone, FeatureTaps) and neck is None else ()
    return describe(shapes, image_size, taps)


def feature_table(features: Sequence[Feature], image_size: tuple[int, int]) -> str:
    """The features as a text table; sizes are for that image."""
    rows = [('feature', 'module', 'channels', 'stride', f'size at {image_size[0]}x{image_size[1]}')]
    for feature in features:
        size = 'x'.join(map(str, feature_size(image_size, feature.stride)))
        rows.append(
            (feature.name, feature.module or '-', f'{feature.channels}', f'{feature.stride}', size)
        )
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
