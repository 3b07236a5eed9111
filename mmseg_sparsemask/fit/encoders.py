"""Encoders by name: where to tap them, and where their weights come from."""

from __future__ import annotations

import copy
import difflib
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import nn

from mmseg_sparsemask.launch.downloads import cached_file
from mmseg_sparsemask.models.describe import describe_backbone
from mmseg_sparsemask.models.pretrained import (
    efficientnet_lite0_file,
    read_efficientnet_lite0,
    write_backbone,
)
from mmseg_sparsemask.utils.checkpoints import load_checkpoint
from mmseg_sparsemask.utils.extras import require_extra

_LITE0 = ['timm_model.bn1.drop', *(f'timm_model.blocks.{n}' for n in range(7))]

#: Backbones by the names that people type, with features from fine to coarse.
BACKBONES: dict[str, dict[str, Any]] = {
    'mobilenet_v2': dict(
        type='FeatureTaps',
        backbone=dict(type='mmpretrain.MobileNetV2'),
        features=['conv1', *(f'layer{n}' for n in range(1, 8)), 'conv2'],
    ),
    'efficientnet-lite0': dict(
        type='FeatureTaps',
        backbone=dict(type='mmpretrain.TIMMBackbone', model_name='tf_efficientnet_lite0'),
        features=[*_LITE0, 'timm_model.bn2.drop'],
    ),
    'resnet50': dict(
        type='FeatureTaps',
        backbone=dict(type='ResNet', depth=50, norm_cfg=dict(type='BN')),
        features=['relu', 'layer1', 'layer2', 'layer3', 'layer4'],
    ),
}

#: Where a head that takes the last feature alone taps it: after its activation.
LAST = {'efficientnet-lite0': 'timm_model.bn2'}

#: Addresses of weights, with the prefix that names have there.
ADDRESSES = {
    'mobilenet_v2': 'https://mmassets.onedl.ai/mmclassification/v0/mobilenet_v2/'
    'mobilenet_v2_batch256_imagenet_20200708-3b2dc3af.pth',
    'resnet50': 'https://download.pytorch.org/models/resnet50-0676ba61.pth',
}

#: What begins the name of a model of timm.
TIMM = 'timm:'

#: Mean and deviation of ImageNet's images, for encoders that bring none.
IMAGENET = dict(
    type='SegDataPreProcessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    pad_val=0,
    seg_pad_val=255,
)

#: Seconds until a download counts as impossible.
PATIENCE = 15.0


@dataclass(frozen=True)
class Encoder:
    """An encoder, as a config describes it.

    Attributes:
        name: As it was asked for.
        parts: ``backbone``, ``data_preprocessor`` and, where there is one, ``neck`` of a model.
        in_channels: Channels of its features, finest first.
        strides: Strides of the same.
        last: Module that a head taps that takes the last feature alone; None for that feature.
        pretrained: Whether it starts from weights.
        normalises_layers: Whether it is one of those that SGD does not train.
        said: Where its weights come from, in a line.
    """

    name: str
    parts: Mapping[str, Any]
    in_channels: Sequence[int]
    strides: Sequence[int]
    last: str | None
    pretrained: bool
    normalises_layers: bool
    said: str


def find_encoder(name: str, weights: str | Path | None, folder: Path) -> Encoder:
    """An encoder and its weights.

    Args:
        name: A key of `BACKBONES`, ``'timm:NAME'``, or the path of a config with a backbone.
        weights: File of its weights, or ``'none'``; None takes those that are here or can be
            fetched.
        folder: An existing folder, for weights that have to be put into another form.

    Raises:
        ImportError: A library that the encoder needs is missing.
        ValueError: No such encoder, features that no decoder takes, or weights of another one.
    """
    parts = _parts(name)
    init_default_scope('mmseg')
    found = describe_backbone(parts).features
    strides = [feature.stride for feature in found]
    if len(found) < 2 or strides != sorted(strides):
        raise ValueError(
            f'--encoder {name}: expected two or more features from fine to coarse, got the strides '
            f'{strides}; tap modules with FeatureTaps in a config of your own (docs/extending.md)'
        )
    inner = parts['backbone']
    while 'backbone' in inner:
        inner = inner['backbone']
    path, said = _weights(name, weights, inner, folder)
    network = MODELS.build(copy.deepcopy(inner))
    if path is not None:
        inner['init_cfg'] = dict(type='Pretrained', checkpoint=str(path.absolute()))
        if prefix := _prefix(network, path):
            inner['init_cfg']['prefix'] = prefix
    layers = any(isinstance(module, nn.LayerNorm) for module in network.modules())
    return Encoder(
        name,
        parts,
        [feature.channels for feature in found],
        strides,
        LAST.get(name),
        inner.get('init_cfg') is not None,
        layers,
        said,
    )


def _parts(name: str) -> dict[str, Any]:
    if name in BACKBONES:
        if name != 'resnet50':
            require_extra('mmpretrain', 'onedl')
        if name == 'efficientnet-lite0':
            require_extra('timm', 'timm')
        return dict(backbone=copy.deepcopy(BACKBONES[name]), data_preprocessor=dict(IMAGENET))
    if name.startswith(TIMM):
        require_extra('timm', 'timm')
        import timm

        model = name.removeprefix(TIMM)
        if not timm.is_model(model):
            like = ', '.join(difflib.get_close_matches(model, timm.list_models()))
            raise ValueError(f'--encoder {name}: timm has no such model; it has {like or "others"}')
        backbone = dict(type='mmpretrain.TIMMBackbone', model_name=model, features_only=True)
        return dict(backbone=backbone, data_preprocessor=dict(IMAGENET))
    if not Path(name).is_file():
        raise ValueError(
            f'--encoder: expected {", ".join(BACKBONES)}, {TIMM}NAME or a config, got {name!r}'
        )
    model = Config.fromfile(name).get('model') or {}
    if 'backbone' not in model:
        raise ValueError(f'--encoder {name}: expected a config with model.backbone')
    given = model.to_dict()
    kept = {key: given[key] for key in ('backbone', 'neck') if given.get(key)}
    return {'data_preprocessor': dict(IMAGENET), **kept} | (
        {'data_preprocessor': given['data_preprocessor']} if 'data_preprocessor' in given else {}
    )


def _weights(
    name: str, given: str | Path | None, inner: Mapping[str, Any], folder: Path
) -> tuple[Path | None, str]:
    """File of an encoder's weights, if there is one, and what is said of it."""
    scratch = f'{name} from scratch'
    if str(given) == 'none':
        return None, scratch
    if given is not None:
        if not Path(given).is_file():
            raise ValueError(f'--weights {given}: there is no such file')
        return Path(given), f'{name} with the weights of {given}'
    written = folder / 'encoder.pth'
    if written.is_file():
        return written, f'{name} with its ImageNet weights'
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        if name == 'efficientnet-lite0':
            path = efficientnet_lite0_file()
            write_backbone(written, read_efficientnet_lite0(path), path.name)
        elif name.startswith(TIMM):
            import timm

            model = timm.create_model(inner['model_name'], features_only=True, pretrained=True)
            write_backbone(written, model.state_dict(), name)
        elif name in ADDRESSES:
            written = Path(cached_file(ADDRESSES[name]))
            if not written.is_file():
                written.parent.mkdir(parents=True, exist_ok=True)
                torch.hub.download_url_to_file(ADDRESSES[name], str(written), progress=False)
        else:
            return None, f'{name}: weights as the config says'
    except (ImportError, OSError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error) else type(error).__name__
        return None, f'{scratch}: no weights ({reason:.150}); give a file with --weights'
    finally:
        socket.setdefaulttimeout(before)
    return written, f'{name} with its ImageNet weights'


def _prefix(network: nn.Module, path: Path) -> str:
    """What stands before the names of an encoder's weights in a file."""
    content = load_checkpoint(path)
    state, own = content.get('state_dict', content), network.state_dict()
    for prefix in ('', 'backbone'):
        names = {f'{prefix}.{name}'.lstrip('.') for name in own}
        if len(names & set(state)) > len(own) / 2:
            return prefix
    raise ValueError(
        f'{os.fspath(path)}: expected weights of {type(network).__name__}, such as '
        f'{next(iter(own))!r}, got {next(iter(state), "nothing")!r}'
    )
