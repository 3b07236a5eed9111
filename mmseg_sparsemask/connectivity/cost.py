"""Parameters and multiply-adds of a decoder, from its Connectivity and the features' channels.

Conventions, as in the paper's tables: weights of the 1x1 convolutions, scale and shift of each
batch normalisation, weights and bias of the classifier. A multiply-add counts once; a convolution
runs at its source's resolution (for ``G``: once); upsampling, additions, normalisation (which folds
into the convolutions) and activations are not counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmseg_sparsemask.connectivity.graph import GLOBAL, Connectivity, level_of


@dataclass(frozen=True)
class Cost:
    """Size of a decoder.

    Attributes:
        parameters: Learnable numbers.
        multiply_adds: For one image.
        stage_parameters: The same parameters by stage; the classifier's are under ``classifier``.
    """

    parameters: int
    multiply_adds: int
    stage_parameters: Mapping[str, int]


def source_channels(source: str, in_channels: Sequence[int], channels: int) -> int:
    """Channels of a source: a stage has `channels`, ``G`` as many as EL."""
    if source == GLOBAL:
        return in_channels[-1]
    return channels if source.startswith('D') else in_channels[level_of(source) - 1]


def feature_size(image_size: tuple[int, int], stride: int) -> tuple[int, int]:
    """(height, width) of a feature: padded strided layers round up."""
    return -(-image_size[0] // stride), -(-image_size[1] // stride)


def decoder_cost(
    connectivity: Connectivity,
    in_channels: Sequence[int],
    channels: int = 64,
    num_classes: int = 21,
    image_size: tuple[int, int] = (512, 512),
) -> Cost:
    """Cost of the decoder that `SparseMaskHead` builds.

    Args:
        connectivity: The decoder.
        in_channels: Channels of ``E1`` .. ``EL``.
        channels: Channels of every stage.
        num_classes: Outputs of the classifier.
        image_size: (height, width) of the input image in pixels, for the multiply-adds.

    Raises:
        ValueError: `in_channels` has not one entry for each stride.
    """
    if len(in_channels) != connectivity.num_levels:
        raise ValueError(
            f'in_channels: expected {connectivity.num_levels} entries, one for each of the strides '
            f'{list(connectivity.strides)}, got {list(in_channels)}'
        )
    by_stage: dict[str, int] = {}
    multiply_adds = 0
    for stage, sources in connectivity.stages.items():
        by_stage[stage] = 2 * channels
        for source in sources:
            weights = source_channels(source, in_channels, channels) * channels
            by_stage[stage] += weights
            stride = connectivity.stride_of(source)
            height, width = (1, 1) if stride is None else feature_size(image_size, stride)
            multiply_adds += weights * height * width
    height, width = feature_size(image_size, connectivity.strides[0])
    multiply_adds += channels * num_classes * height * width
    by_stage['classifier'] = (channels + 1) * num_classes
    return Cost(sum(by_stage.values()), multiply_adds, by_stage)


def supernet_parameters(
    connectivity: Connectivity,
    in_channels: Sequence[int],
    channels: int = 64,
    num_classes: int = 21,
    affine_connection_norm: bool = False,
) -> int:
    """Parameters of a supernet without its connection weights.

    Args:
        connectivity: Usually the full one.
        in_channels: Channels of ``E1`` .. ``EL``.
        channels: Channels of every stage.
        num_classes: Outputs of the classifier.
        affine_connection_norm: Count scale and shift for each connection's normalisation. The
            supernet here has none (they would hide the connection weight).
    """
    base = decoder_cost(connectivity, in_channels, channels, num_classes).parameters
    return base + (2 * channels * len(connectivity) if affine_connection_norm else 0)
