"""A published folder: weights, config and connectivity as data, read without running any of it."""

from __future__ import annotations

import importlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.apis import inference_model
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS, TRANSFORMS

from mmseg_sparsemask.deployment.metadata import class_colours
from mmseg_sparsemask.deployment.onnx_predictor import Predictor
from mmseg_sparsemask.utils.extras import require_extra
from mmseg_sparsemask.utils.registered import registered_class, types_in

#: Written in config.json. A reader refuses another version.
FORMAT = 'sparsemask.published'
VERSION = 1

WEIGHTS = 'model.safetensors'
CONFIG = 'config.json'

#: Keys of a model that make it read further files or addresses; none is published or accepted.
READING_KEYS = frozenset({'init_cfg', 'pretrained', 'checkpoint', 'checkpoint_path'})

#: Where classes of a published model may come from.
ORIGINS = (
    *('mmseg_sparsemask.', 'mmseg.', 'mmpretrain.models.backbones.', 'mmpretrain.models.necks.'),
    *('mmcv.cnn.', 'mmcv.transforms.', 'mmengine.model.', 'torch.nn.'),
)

#: A configuration is far smaller; a larger file is damaged or not meant for this.
MAX_CONFIG_BYTES = 10_000_000

_TUPLE = '__tuple__'
_REPOSITORY = re.compile(r'[\w][\w.-]*/[\w][\w.-]*')


class PublishedPredictor(Predictor):
    """Label maps by a published folder, through MMSegmentation's test pipeline.

    Attributes:
        model: MMSegmentation's model, in evaluation mode.
    """

    def __init__(self, model: EncoderDecoder) -> None:
        self.model = model
        self.classes, self.palette = class_colours(model.dataset_meta, model.num_classes)

    def predict(self, image: np.ndarray) -> np.ndarray:
        """See the base class."""
        return inference_model(self.model, image).pred_sem_seg.data[0].cpu().numpy()


def load_published(
    name: str | os.PathLike[str],
    device: str = 'cpu',
    revision: str | None = None,
    endpoint: str | None = None,
) -> PublishedPredictor:
    """The network of a folder that ``tools/publish.py`` wrote.

    Its files are data: tensors, and JSON that names classes of MMSegmentation and this package.

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
    model = _build(description, folder)
    return PublishedPredictor(model.to(device))


def download(name: str, revision: str | None = None, endpoint: str | None = None) -> Path:
    """Weights and configuration of a repository, in the hub's cache.

    Raises:
        ImportError: The extra ``hub`` is missing.
        ValueError: This is no name of a repository, or the files are not there.
    """
    if not _REPOSITORY.fullmatch(name):
        raise ValueError(
            f'{name}: no such folder; expected one that tools/publish.py wrote, or a repository '
            'owner/name of the Hugging Face hub'
        )
    require_extra('huggingface_hub', 'hub')
    from huggingface_hub import hf_hub_download

    options = dict(revision=revision, endpoint=endpoint)
    try:
        config = hf_hub_download(name, CONFIG, **options)
        hf_hub_download(name, WEIGHTS, **options)
    except Exception as error:  # its exceptions have no common type
        raise ValueError(
            f'{name}: is no folder here, and cannot be had from the hub ({error})'
        ) from error
    return Path(config).parent


def read_description(path: Path) -> dict[str, Any]:
    """The content of config.json, checked.

    Returns:
        ``model``, ``test_pipeline``, ``dataset_meta`` and what else the file says.

    Raises:
        ValueError: The file is missing, damaged, of another version, or names a class or a key
            that may not be in it.
    """
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise ValueError(f'{path}: expected at most {MAX_CONFIG_BYTES:,} bytes')
        data = decode(json.loads(path.read_text(encoding='utf-8')))
    except OSError as error:
        raise ValueError(
            f'{path}: cannot be read ({error.strerror}); expected a folder of tools/publish.py'
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f'{path}: is not a JSON file ({error})') from None
    if not isinstance(data, dict) or data.get('format') != FORMAT:
        raise ValueError(f'{path}: expected the format {FORMAT!r}')
    if data.get('version') != VERSION:
        raise ValueError(
            f'{path}: expected version {VERSION}, got {data.get("version")!r}; publish it again '
            'with this version, or update mmseg-sparsemask'
        )
    for key, kind in (('model', dict), ('test_pipeline', list), ('dataset_meta', dict)):
        if not isinstance(data.get(key), kind):
            raise ValueError(f'{path}: {key}: expected a {kind.__name__}')
    # What is to be found must be registered before it is looked for.
    for module in ('mmseg.models', 'mmseg.datasets', 'mmpretrain.models', 'mmcv.transforms'):
        importlib.import_module(module)
    _check(data['model'], MODELS, f'{path}: model')
    _check(data['test_pipeline'], TRANSFORMS, f'{path}: test_pipeline')
    return data


def _check(node: Any, registry: Any, where: str) -> None:
    for name in types_in(node):
        found = registered_class(name, registry)
        if found is None or not f'{found.__module__}.'.startswith(ORIGINS):
            raise ValueError(
                f'{where}: {str(name)[:100]!r} is no class of MMSegmentation or this package that '
                'may be in a published network'
            )
    if reading := _keys(node) & READING_KEYS:
        raise ValueError(f'{where}: expected no {min(reading)!r}, which would read another file')


def _keys(node: Any) -> set[str]:
    if isinstance(node, Mapping):
        return set(node).union(*map(_keys, node.values()))
    return set().union(*map(_keys, node)) if isinstance(node, (list, tuple)) else set()


def _build(description: dict[str, Any], folder: Path) -> EncoderDecoder:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise ValueError(f'{folder / WEIGHTS}: cannot be read ({error})') from None
    cfg = Config({key: description[key] for key in ('model', 'test_pipeline')})
    init_default_scope('mmseg')
    try:
        model = MODELS.build(cfg.model)
        model.load_state_dict(state)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f'{folder}: weights and config.json do not fit: {error}') from None
    model.cfg = cfg
    model.dataset_meta = description['dataset_meta']
    return model.eval()


def encode(node: Any, where: str = 'config') -> Any:
    """Plain values as JSON has them; a tuple is marked, since MMSegmentation tells it from a list.

    Raises:
        ValueError: Something else than plain values.
    """
    if isinstance(node, Mapping):
        return {str(key): encode(child, f'{where}.{key}') for key, child in node.items()}
    if isinstance(node, tuple):
        return {_TUPLE: [encode(child, where) for child in node]}
    if isinstance(node, list):
        return [encode(child, where) for child in node]
    if node is None or isinstance(node, (bool, int, float, str)):
        return node
    raise ValueError(
        f'{where}: expected plain values (numbers, strings, lists, dicts), got {node!r:.80}; such '
        'a config cannot be published'
    )


def decode(node: Any) -> Any:
    """The inverse of `encode`."""
    if isinstance(node, dict):
        if set(node) == {_TUPLE}:
            return tuple(decode(child) for child in node[_TUPLE])
        return {key: decode(child) for key, child in node.items()}
    return [decode(child) for child in node] if isinstance(node, list) else node
