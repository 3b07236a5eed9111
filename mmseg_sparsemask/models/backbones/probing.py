"""A backbone run once on an empty image, to see what it takes and gives."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from mmseg_sparsemask.connectivity import Feature
from mmseg_sparsemask.connectivity.graph import encoder_name

#: What an image has where nothing says otherwise.
RGB = 3


def describe(
    shapes: Sequence[Sequence[int]], image_size: tuple[int, int], modules: Sequence[str] = ()
) -> tuple[Feature, ...]:
    """Names, channels and strides of features from their shapes (N, C, h, w)."""
    return tuple(
        Feature(
            encoder_name(level),
            shape[1],
            max(1, round(image_size[0] / shape[2])),
            modules[level - 1] if modules else '',
        )
        for level, shape in enumerate(shapes, 1)
    )


def probe_shapes(
    backbone: nn.Module, image_size: tuple[int, int], channels: int = RGB
) -> list[tuple[int, ...]]:
    """Shapes of a backbone's outputs for one image, without computing anything.

    Runs a copy on the meta device or, if the backbone cannot run there, on the backbone's device.

    Args:
        backbone: It is not changed.
        image_size: (height, width) in pixels.
        channels: Channels of the image.

    Raises:
        ValueError: The backbone cannot take such an image.
    """
    try:
        outputs = _run_on_meta(copy.deepcopy(backbone), image_size, channels)
        if outputs is None:
            outputs = _run(copy.deepcopy(backbone), image_size, channels, _device(backbone))
    except RuntimeError as error:
        raise ValueError(
            f'the backbone cannot take an image of {image_size[0]}x{image_size[1]} pixels and '
            f'{channels} channels ({error}); try another size (image_size of FeatureTaps, --shape '
            'of a tool), or give in_channels to FeatureTaps'
        ) from error
    return [tuple(output.shape) for output in outputs]


def overwritten_outputs(
    backbone: nn.Module, names: Sequence[str], image_size: tuple[int, int], channels: int = RGB
) -> frozenset[str]:
    """Modules whose output a later module replaces in place, such as an activation."""
    probe = copy.deepcopy(backbone)
    outputs: dict[str, tuple[Any, int]] = {}
    for name in names:
        probe.get_submodule(name).register_forward_hook(
            lambda module, inputs, output, name=name: outputs.update(
                {name: (output, getattr(output, '_version', 0))}
            )
        )
    if _run_on_meta(probe, image_size, channels) is None:
        return frozenset(names)  # It cannot be told: the safe answer.
    return frozenset(
        name
        for name, (output, version) in outputs.items()
        if getattr(output, '_version', 0) != version
    )


def image_channels(backbone: nn.Module, image_size: tuple[int, int] = (64, 64)) -> int:
    """Channels of the images that a backbone takes: what its first layer needs.

    The first convolution or normalisation that runs says how many channels it needs, and how many
    reach it from an image of three: what happens before (pixels unshuffled, coordinates appended)
    multiplies or adds some.

    Args:
        backbone: It is not changed.
        image_size: (height, width) in pixels.

    Returns:
        3 where no layer says otherwise.
    """
    own = getattr(backbone, 'image_channels', None)
    if isinstance(own, int):
        return own
    try:
        needed, got = _at_first_layer(backbone, image_size, RGB)
        for channels in (RGB, RGB * needed // got, RGB + needed - got):
            if channels > 0 and _at_first_layer(backbone, image_size, channels)[1] == needed:
                return channels
    except Exception:  # noqa: BLE001, whatever a backbone raises for three channels
        first = next((m for m in backbone.modules() if isinstance(m, _ConvNd)), None)
        return first.in_channels if first is not None else RGB
    return RGB


class _Reached(Exception):
    """Ends a pass at its first layer."""


def _at_first_layer(
    backbone: nn.Module, image_size: tuple[int, int], channels: int
) -> tuple[int, int]:
    """Channels that the first layer to run needs, and those that it gets."""

    def stop(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        needed = layer.in_channels if isinstance(layer, _ConvNd) else layer.num_features
        raise _Reached(needed, inputs[0].shape[1])

    layers = [m for m in backbone.modules() if isinstance(m, (_ConvNd, _NormBase))]
    handles = [layer.register_forward_pre_hook(stop) for layer in layers]
    try:
        with torch.no_grad():
            backbone(torch.zeros(1, channels, *image_size, device=_device(backbone)))
    except _Reached as reached:
        return reached.args
    finally:
        for handle in handles:
            handle.remove()
    return channels, channels


def _device(module: nn.Module) -> torch.device:
    return next((p.device for p in module.parameters()), torch.device('cpu'))


def _run_on_meta(probe: nn.Module, image_size: tuple[int, int], channels: int) -> Any:
    """What a backbone gives for one image once it is moved there; None if it cannot run there."""
    try:
        return _run(probe.to('meta'), image_size, channels, torch.device('meta'))
    except NotImplementedError:
        return None


def _run(probe: nn.Module, image_size: tuple[int, int], channels: int, device: torch.device) -> Any:
    probe.eval()  # Not chained: that of MobileNetV2 returns nothing.
    with torch.no_grad():
        return probe(torch.zeros(1, channels, *image_size, device=device))
