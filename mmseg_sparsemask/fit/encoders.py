"""Encoders by name: where to tap them, and where their weights come from."""

from __future__ import annotations

import difflib
import os
import socket
import textwrap
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import CheckpointLoader
from mmseg.registry import MODELS
from torch import nn

from mmseg_sparsemask.launch.checks import check_extras
from mmseg_sparsemask.models import pretrained
from mmseg_sparsemask.models.allowed import FETCHING
from mmseg_sparsemask.models.describe import describe_backbone
from mmseg_sparsemask.utils.checkpoints import load_checkpoint
from mmseg_sparsemask.utils.extras import require_extra
from mmseg_sparsemask.utils.read_config import read_config
from mmseg_sparsemask.utils.registered import type_name

_MODELS = Path(__file__).parents[1] / '.mim/configs/_base_/models'

LITE0, SMALL = 'efficientnet-lite0', 'small'

#: Configs of encoders by the names that people type.
NAMED = {
    'mobilenet_v2': _MODELS / 'mbv2_features.py',
    LITE0: _MODELS / 'efficientnet-lite0_features.py',
    'resnet50': _MODELS / 'sparsemask_resnet50.py',
    SMALL: _MODELS / 'small_features.py',
}

#: Where a head that takes the last feature alone taps it: after its activation.
LAST = {LITE0: 'timm_model.bn2'}

#: What begins the name of a model of timm, and what stands for no weights.
TIMM, NONE = 'timm:', 'none'

#: Seconds until a download counts as impossible.
PATIENCE = 15.0


@dataclass(frozen=True)
class Encoder:
    """An encoder, as a config describes it.

    Attributes:
        parts: ``backbone``, ``data_preprocessor`` and, where there is one, ``neck`` of a model.
        in_channels: Channels of its features, finest first.
        strides: Strides of the same.
        last: Module that a head taps that takes the last feature alone; None for that feature.
        rule: How it learns: ``'sgd'``, ``'layers'`` with layer normalisation, which SGD does not
            train, or ``'scratch'``.
        said: Where its weights come from, in a line.
    """

    parts: Mapping[str, Any]
    in_channels: Sequence[int]
    strides: Sequence[int]
    last: str | None
    rule: str
    said: str


def find_encoder(name: str, weights: str | Path | None, folder: Path) -> Encoder:
    """An encoder and its weights.

    Args:
        name: A key of `NAMED`, ``'timm:NAME'``, or the path of a config with a backbone.
        weights: File of its weights, or ``'none'``; None takes those that are here or can be
            fetched.
        folder: An existing folder, for weights that have to be put into another form.

    Raises:
        ImportError: A library that the encoder needs is missing.
        ValueError: No such encoder, features that no decoder takes, or weights of another one.
    """
    parts = _parts(name)
    check_extras(Config({'model': parts}))
    inner = parts['backbone']
    while 'backbone' in inner:
        inner = inner['backbone']
    # Weights are named in three ways: as the segmentor's, the backbone's, and by a flag of timm's.
    outer = parts.pop('pretrained', None)
    named = {key: inner.pop(key, None) for key in ('init_cfg', 'pretrained', 'checkpoint_path')}
    if isinstance(path := named['pretrained'] or outer, str):
        named['init_cfg'] = dict(type='Pretrained', checkpoint=path)
    if type_name(inner).endswith(FETCHING):
        inner['pretrained'] = False
    init_default_scope('mmseg')
    found = describe_backbone(parts).features
    strides = [feature.stride for feature in found]
    if len(found) < 2 or strides != sorted(strides):
        raise ValueError(
            f'--encoder {name}: expected two or more features from fine to coarse, got the strides '
            f'{strides}; tap modules with FeatureTaps in a config of your own (docs/extending.md)'
        )
    network, said = MODELS.build(dict(inner)), f'{name} from scratch'
    if weights is None:
        said = _fetch(name, named, inner, network, folder / 'encoder.pth')
    elif str(weights) != NONE:
        inner['init_cfg'], lacking = _of_file(Path(weights), network)
        said = f'{name} with the weights of {weights}{lacking}'
    layers = any(isinstance(module, nn.LayerNorm) for module in network.modules())
    learned = any(inner.get(key) for key in named)
    rule = ('layers' if layers else 'sgd') if learned else 'scratch'
    if not learned and named['init_cfg'] and _checkpoint_of(named['init_cfg']) is None:
        inner['init_cfg'] = named['init_cfg']  # how it is drawn
    channels = [feature.channels for feature in found]
    return Encoder(parts, channels, strides, LAST.get(name), rule, said)


def _parts(name: str) -> dict[str, Any]:
    """Backbone, neck and preprocessing, of a config or of a model of timm."""
    if name.startswith(TIMM):
        require_extra('timm', 'timm')
        import timm

        model = name.removeprefix(TIMM)
        if not timm.is_model(model):
            like = ', '.join(difflib.get_close_matches(model, timm.list_models()))
            raise ValueError(f'--encoder {name}: timm has no such model; it has {like or "others"}')
        kind = 'mmpretrain.TIMMBackbone'
        given = dict(backbone=dict(type=kind, model_name=model, features_only=True))
    else:
        config = NAMED.get(name, Path(name))
        if not config.is_file():
            raise ValueError(
                f'--encoder: expected {", ".join(NAMED)}, {TIMM}NAME or a config, got {name!r}'
            )
        given = (read_config(config).get('model') or Config()).to_dict()
        if 'backbone' not in given:
            raise ValueError(f'--encoder {name}: expected a config with model.backbone')
    kept = {**Config.fromfile(_MODELS / 'segmentor.py').model.to_dict(), **given}
    keys = ('data_preprocessor', 'backbone', 'neck', 'pretrained')
    return {key: kept[key] for key in keys if kept.get(key)}


def _checkpoint_of(init_cfg: Any) -> str | None:
    """The weights that an ``init_cfg`` names; None if it draws them."""
    parts = init_cfg if isinstance(init_cfg, (list, tuple)) else [init_cfg or {}]
    found = (part.get('checkpoint') for part in parts if 'Pretrained' in type_name(part))
    return next(found, None)


def _fetch(
    name: str, named: Mapping[str, Any], inner: dict[str, Any], network: nn.Module, written: Path
) -> str:
    """Let a backbone start from the weights of its config; what is said of them.

    Args:
        name: Of the encoder.
        named: What of its config names weights: ``init_cfg``, ``pretrained``, ``checkpoint_path``.
        inner: Its backbone, which gets one of them.
        network: The same, built.
        written: File for weights in another form.
    """
    own, lacking = named['init_cfg'], ''
    checkpoint = _checkpoint_of(own)
    flagged = 'pretrained' in inner and named['pretrained'] is not False
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    # What is fetched is fetched now; every training finds it where it was put.
    try:
        if named['checkpoint_path']:
            inner['checkpoint_path'] = named['checkpoint_path']
        elif flagged and checkpoint is None:
            _look_for_hub()
            MODELS.build({**inner, 'pretrained': True})
            inner['pretrained'] = True
        elif name == LITE0 and not Path(checkpoint).is_file():
            state = pretrained.read_efficientnet_lite0(pretrained.efficientnet_lite0_file())
            pretrained.write_backbone(written, state, pretrained.PACKAGE)
            inner['init_cfg'], lacking = _of_file(written, network)
        elif checkpoint and Path(checkpoint).is_file():
            inner['init_cfg'], lacking = _of_file(Path(checkpoint), network)
        elif checkpoint:
            CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
            inner['init_cfg'] = own
        else:
            return f'{name} from scratch: its config names no weights'
    except (ImportError, OSError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        reason = textwrap.shorten(reason, 150, placeholder=' ...')
        return f'{name} from scratch, no weights: {reason} (--weights takes a file)'
    finally:
        socket.setdefaulttimeout(patience)
    return f'{name} with its pretrained weights{lacking}'


def _look_for_hub() -> None:
    """Let timm ask for weights where they were put before, and nowhere else, if no hub answers.

    Else it asks for each of its files six times, which takes most of a minute.
    """
    from huggingface_hub import constants

    try:
        urllib.request.urlopen(constants.ENDPOINT, timeout=PATIENCE).close()
    except urllib.error.HTTPError:
        pass  # it does answer
    except OSError:
        os.environ['HF_HUB_OFFLINE'] = '1'
        constants.HF_HUB_OFFLINE = True


def _of_file(path: Path, network: nn.Module) -> tuple[dict[str, Any], str]:
    """The ``init_cfg`` that takes an encoder's weights from a file, whatever stands before names.

    Returns:
        It, and what is said of parameters that the file lacks: where features are normalised, or
        positions are resized, some may be missing.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: They are those of another network.
    """
    content = load_checkpoint(path)
    state = content.get('state_dict', content)
    own = {key: tuple(value.shape) for key, value in network.named_parameters()}
    first = next(iter(own))
    shapes = {key: tuple(getattr(value, 'shape', ())) for key, value in state.items()}
    before = {key.removesuffix(first) for key in shapes if f'.{key}'.endswith(f'.{first}')}
    prefix = max(('', *before), key=lambda p: sum(f'{p}{key}' in shapes for key in own))
    lacking = sum(shapes.get(f'{prefix}{key}') != shape for key, shape in own.items())
    if 2 * lacking >= len(own):
        key = f'{prefix}{first}'
        key = key if key in shapes else next(iter(shapes), 'nothing')
        raise ValueError(
            f'{path}: expected weights of {type(network).__name__}, such as {first!r} of the shape '
            f'{own[first]}, got {key!r} of {shapes.get(key, ())}; {lacking} of {len(own)} '
            'parameters are not in it'
        )
    settings = dict(type='Pretrained', checkpoint=str(path.absolute()))
    more = {'prefix': prefix.rstrip('.')} if prefix else {}
    said = f', which lacks {lacking} of {len(own)} parameters' if lacking else ''
    return {**settings, **more}, said
