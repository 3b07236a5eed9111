"""A published folder: weights, config and connectivity as data, read without running any of it."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from torch import Tensor
from torch.overrides import TorchFunctionMode

from mmseg_sparsemask.deployment.predictor import ModelPredictor
from mmseg_sparsemask.models.allowed import TEXT, check_classes, check_model, check_pipeline, whole
from mmseg_sparsemask.utils.extras import require_extra
from mmseg_sparsemask.utils.files import read_json
from mmseg_sparsemask.utils.tool_command import tool_command

#: Written in config.json. A reader refuses another version.
FORMAT = 'sparsemask.published'
VERSION = 2

WEIGHTS = 'model.safetensors'
CONFIG = 'config.json'

_TUPLE = '__tuple__'
_REPOSITORY = re.compile(r'[\w][\w.-]*/[\w][\w.-]*')


class PublishedPredictor(ModelPredictor):
    """Label maps by a published folder, through MMSegmentation's test pipeline."""


def load_published(
    name: str | os.PathLike[str],
    device: str = 'cpu',
    revision: str | None = None,
    endpoint: str | None = None,
) -> PublishedPredictor:
    """The network of a folder that ``tools/publish.py`` wrote.

    Its files are data: tensors, and JSON in which only the classes, settings and values listed in
    `models.allowed` may stand.

    Args:
        name: The folder; or, where there is none of this name, a repository ``owner/name`` of the
            Hugging Face hub.
        device: ``'cpu'``, ``'cuda:0'``, ...
        revision: Branch, tag or commit of the repository.
        endpoint: Address of the hub; None takes `huggingface_hub`'s.

    Raises:
        ImportError: The extra ``hub`` is missing.
        ValueError: Neither folder nor repository; a file is missing, damaged, or holds what may
            not be in it.
    """
    require_extra('safetensors', 'hub')
    folder = Path(name)
    if not folder.is_dir():
        folder = download(str(name), revision, endpoint)
    description = read_description(folder / CONFIG)
    state = _read_weights(folder / WEIGHTS, description['weights'])
    try:
        # First without values: a network larger than its weights is refused before it takes memory.
        with WithoutValues():
            build(description).load_state_dict(state, assign=True)
        model = build(description)
        model.load_state_dict(state)
        predictor = PublishedPredictor(model)
    except ImportError:
        raise
    except Exception as error:  # whatever the toolbox asserts, looks up or computes
        reason = ' '.join(str(error).split())
        raise ValueError(f'{folder}: weights and {CONFIG} do not fit: {reason}') from error
    model.to(device)
    return predictor


def download(name: str, revision: str | None = None, endpoint: str | None = None) -> Path:
    """Weights and configuration of a repository, in the hub's cache.

    Raises:
        ImportError: The extra ``hub`` is missing.
        ValueError: This is no name of a repository, or the files are not there.
    """
    if not _REPOSITORY.fullmatch(name):
        raise ValueError(
            f'{name}: no such folder; expected one that {tool_command("publish")} wrote, or '
            'a repository owner/name of the Hugging Face hub'
        )
    require_extra('huggingface_hub', 'hub')
    from huggingface_hub import hf_hub_download

    options = dict(revision=revision, endpoint=endpoint)
    try:
        config = hf_hub_download(name, CONFIG, **options)
        hf_hub_download(name, WEIGHTS, **options)
    except Exception as error:  # its exceptions have no common type
        raise ValueError(
            f'{name}: is no folder here, and the hub does not give it ({error})'
        ) from error
    return Path(config).parent


def read_description(path: Path) -> dict[str, Any]:
    """The content of config.json, checked.

    Returns:
        ``model``, ``test_pipeline``, ``dataset_meta`` and ``weights``, the SHA-256 of their file.

    Raises:
        ValueError: The file is missing, damaged, of another version, or says what it may not.
    """
    _check_file(path)
    content = read_json(path)
    if not isinstance(content, dict) or content.get('format') != FORMAT:
        raise ValueError(f'{path}: expected the format {FORMAT!r}')
    if content.get('version') != VERSION:
        raise ValueError(
            f'{path}: expected version {VERSION}, got {content.get("version")!r:.80}; publish it '
            'again with this version, or update mmseg-sparsemask'
        )
    data = decode(content)
    check(data, str(path))
    if data['checksum'] != checksum(content):
        raise ValueError(f'{path}: is damaged or was changed: its checksum does not fit')
    return data


def _check_file(path: Path) -> None:
    # Opening a pipe would wait for ever.
    if not (path.is_file() and os.access(path, os.R_OK)):
        remedy = f'expected a file that {tool_command("publish")} wrote'
        raise ValueError(f'{path}: cannot be read; {remedy}')
    # A hub's cache holds links to its folder of blobs.
    folder = path.parent.resolve()
    if not {folder, folder.parent.parent / 'blobs'} & set(path.resolve().parents):
        raise ValueError(f'{path}: is a link that leads out of its folder')


def check(data: Mapping[str, Any], path: str) -> None:
    """Make sure that all of a config.json, tuples decoded, is allowed.

    Args:
        data: Its content.
        path: Put at the start of messages.

    Raises:
        ValueError: It is not; the message names what is not.
    """
    checks = {
        'format': TEXT,
        'version': whole(VERSION, VERSION),
        'library': TEXT,
        'model': check_model,
        'test_pipeline': check_pipeline,
        'dataset_meta': check_classes,
        'weights': TEXT,
        'checksum': TEXT,
    }
    if different := sorted(set(data) ^ set(checks)):
        raise ValueError(f'{path}: {different[0]:.80}: expected the keys {", ".join(checks)}')
    for key, check in checks.items():
        check(data[key], f'{path}: {key}')
    steps = [transform['type'] for transform in data['test_pipeline']]
    if steps[:1] + steps[1:][-1:] != ['LoadImageFromFile', 'PackSegInputs']:
        raise ValueError(
            f'{path}: test_pipeline: expected LoadImageFromFile first and PackSegInputs last, got '
            f'{steps}'
        )


def checksum(content: Mapping[str, Any]) -> str:
    """The SHA-256 of what config.json says but for the checksum, however it is laid out."""
    rest = {key: value for key, value in content.items() if key != 'checksum'}
    text = json.dumps(rest, sort_keys=True, separators=(',', ':'))
    return hashlib.sha256(text.encode()).hexdigest()


def _read_weights(path: Path, expected: str) -> dict[str, Tensor]:
    from safetensors.torch import load

    _check_file(path)
    content = path.read_bytes()
    try:
        state = load(content)
    except Exception as error:  # torch may lack a kind of number, and the library asserts
        raise ValueError(f'{path}: cannot be read ({error!r:.200})') from None
    for name, tensor in state.items():
        if tensor.dtype not in (torch.float32, torch.int64, torch.bool):
            raise ValueError(
                f'{path}: {name}: expected float32 numbers, or int64 and bool where a network '
                f'counts and chooses, got {tensor.dtype}'
            )
        if not tensor.isfinite().all():
            raise ValueError(f'{path}: {name}: expected finite numbers, got infinite ones or NaN')
    if hashlib.sha256(content).hexdigest() != expected:
        raise ValueError(f'{path}: is damaged, or not that of {CONFIG}: its checksum does not fit')
    return state


class WithoutValues(TorchFunctionMode):
    """Tensors that a network makes for its parameters get a shape, and no memory.

    Others, such as the rates of its layers that are computed as a tensor, are as ever.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.empty, torch.full, torch.ones, torch.rand, torch.randn, torch.zeros):
            kwargs['device'] = 'meta'
        return func(*args, **kwargs)


def build(description: Mapping[str, Any]) -> EncoderDecoder:
    """The network of a checked description, with weights of its own."""
    init_default_scope('mmseg')
    config = Config({key: description[key] for key in ('model', 'test_pipeline')})
    model = MODELS.build(config.model)
    model.cfg, model.dataset_meta = config, description['dataset_meta']
    return model.eval()


def encode(node: Any) -> Any:
    """As JSON can have it; a tuple is marked, since MMSegmentation tells it from a list."""
    if isinstance(node, Mapping):
        return {key: encode(child) for key, child in node.items()}
    if isinstance(node, (list, tuple)):
        items = [encode(child) for child in node]
        return {_TUPLE: items} if isinstance(node, tuple) else items
    return node


def decode(node: Any) -> Any:
    """The inverse of `encode`."""
    if isinstance(node, dict):
        if set(node) == {_TUPLE} and isinstance(node[_TUPLE], list):
            return tuple(decode(child) for child in node[_TUPLE])
        return {key: decode(child) for key, child in node.items()}
    return [decode(child) for child in node] if isinstance(node, list) else node
