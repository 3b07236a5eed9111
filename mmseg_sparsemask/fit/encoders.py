"""Encoders by name: where to tap them, and where their weights come from."""

from __future__ import annotations

import difflib
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import CheckpointLoader
from mmseg.registry import MODELS
from torch import nn

from mmseg_sparsemask.launch.checks import check_extras
from mmseg_sparsemask.models.describe import describe_backbone
from mmseg_sparsemask.models.pretrained import (
    efficientnet_lite0_file,
    read_efficientnet_lite0,
    write_backbone,
)
from mmseg_sparsemask.utils.checkpoints import load_checkpoint
from mmseg_sparsemask.utils.extras import require_extra

_MODELS = Path(__file__).parents[1] / '.mim/configs/_base_/models'

LITE0 = 'efficientnet-lite0'

#: Configs of encoders by the names that people type.
NAMED = {
    'mobilenet_v2': _MODELS / 'mbv2_features.py',
    LITE0: _MODELS / 'efficientnet-lite0_features.py',
    'resnet50': _MODELS / 'sparsemask_resnet50.py',
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
        pretrained: Whether it starts from weights.
        normalises_layers: Whether it is one of those that SGD does not train.
        said: Where its weights come from, in a line.
    """

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
    start = inner.pop('init_cfg', None)
    init_default_scope('mmseg')
    found = describe_backbone(parts).features
    strides = [feature.stride for feature in found]
    if len(found) < 2 or strides != sorted(strides):
        raise ValueError(
            f'--encoder {name}: expected two or more features from fine to coarse, got the strides '
            f'{strides}; tap modules with FeatureTaps in a config of your own (docs/extending.md)'
        )
    network = MODELS.build(dict(inner))
    start, said = _start(name, weights, start, network, folder)
    if start is not None:
        inner['init_cfg'] = start
    return Encoder(
        parts,
        [feature.channels for feature in found],
        strides,
        LAST.get(name),
        start is not None,
        any(isinstance(module, nn.LayerNorm) for module in network.modules()),
        said,
    )


def _parts(name: str) -> dict[str, Any]:
    """Backbone, neck and preprocessing, of a config or of a model of timm."""
    common = Config.fromfile(_MODELS / 'segmentor.py').model.to_dict()
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
        model = Config.fromfile(config).get('model') or {}
        if 'backbone' not in model:
            raise ValueError(f'--encoder {name}: expected a config with model.backbone')
        given = model.to_dict()
    kept = {**common, **given}
    return {key: kept[key] for key in ('data_preprocessor', 'backbone', 'neck') if kept.get(key)}


def _start(
    name: str, given: str | Path | None, own: Any, network: nn.Module, folder: Path
) -> tuple[Any, str]:
    """The ``init_cfg`` of an encoder, None without weights, and what is said of it.

    Args:
        name: Of the encoder.
        given: What the user gave.
        own: The ``init_cfg`` of its config.
        network: The encoder.
        folder: For weights in another form.
    """
    if str(given) == NONE:
        return None, f'{name} from scratch'
    if given is not None:
        if not Path(given).is_file():
            raise ValueError(f'--weights {given}: there is no such file')
        return _of_file(Path(given), network), f'{name} with the weights of {given}'
    checkpoint = own.get('checkpoint') if isinstance(own, Mapping) else None
    written = folder / 'encoder.pth'
    with _patience():
        try:
            if name.startswith(TIMM) and not written.is_file():
                import timm

                model = timm.create_model(
                    name.removeprefix(TIMM), features_only=True, pretrained=True
                )
                write_backbone(written, model.state_dict(), name)
            elif name == LITE0 and not Path(checkpoint).is_file() and not written.is_file():
                path = efficientnet_lite0_file()
                write_backbone(written, read_efficientnet_lite0(path), path.name)
            elif checkpoint and not written.is_file():
                # Fetches what is fetched once, as every training then does.
                CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
        except (ImportError, OSError, RuntimeError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            said = f'{name} from scratch: no weights ({reason:.150}); give a file with --weights'
            return None, said
    if written.is_file():
        return _of_file(written, network), f'{name} with its ImageNet weights'
    if checkpoint and Path(checkpoint).is_file():
        return _of_file(Path(checkpoint), network), f'{name} with the weights of {checkpoint}'
    return own, f'{name} with the weights of its config' if own else f'{name} from scratch'


@contextmanager
def _patience() -> Iterator[None]:
    """Context in which a connection that does not answer fails."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _of_file(path: Path, network: nn.Module) -> dict[str, Any]:
    """The ``init_cfg`` that takes an encoder's weights from a file, whatever stands before names.

    Raises:
        ValueError: They are those of another network.
    """
    content = load_checkpoint(path)
    state, own = content.get('state_dict', content), network.state_dict()
    settings = dict(type='Pretrained', checkpoint=str(path.absolute()))
    if len(set(own) & set(state)) > len(own) / 2:
        return settings
    if len({f'backbone.{key}' for key in own} & set(state)) > len(own) / 2:
        return {**settings, 'prefix': 'backbone'}
    raise ValueError(
        f'{os.fspath(path)}: expected weights of {type(network).__name__}, such as '
        f'{next(iter(own))!r}, got {next(iter(state), "nothing")!r}'
    )
