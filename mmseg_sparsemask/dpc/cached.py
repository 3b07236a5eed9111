"""The registered parts that let the toolbox's runner train on cached features.

A data set that reads features instead of images, a preprocessor that stacks them, and a backbone
that hands them on; the segmentor, the decode head, the loops and the metric are the usual ones.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.model import BaseDataPreprocessor, BaseModule
from mmengine.structures import PixelData
from mmseg.registry import DATASETS, MODELS
from mmseg.structures import SegDataSample
from torch import Tensor
from torch.utils.data import Dataset

from mmseg_sparsemask.utils.tool_command import tool_command

META = 'meta.json'
FEATURES = 'features.npy'
LABELS = 'labels.npy'


def read_meta(path: str | Path) -> dict[str, Any]:
    """What is known of a finished cache, whose files are whole.

    Raises:
        ValueError: There is no finished cache in ``path``, or a file is missing or of another size
            than was written.
    """
    file = Path(path) / META
    if not file.exists():
        raise ValueError(
            f'{path} holds no finished feature cache; build it with '
            f'{tool_command("dpc_search")}, which also goes on with an interrupted one'
        )
    try:
        meta = dict(json.loads(file.read_text()))
        wanted = {'key', 'length', 'channels', 'feature_size', 'metainfo', 'fingerprint', 'files'}
        if missing := wanted - set(meta):
            raise ValueError(f'it lacks {sorted(missing)}')
    except (ValueError, TypeError) as error:
        raise ValueError(f'{file} is damaged ({error}); delete {path} to build it anew') from None
    for name in (FEATURES, LABELS):
        file = Path(path) / name
        size = file.stat().st_size if file.exists() else 0
        if size != (wanted := meta['files'].get(name)):
            raise ValueError(
                f'{file} has {size} bytes, {wanted} were written: it is damaged; delete {path} '
                'to build it anew'
            )
    return meta


@DATASETS.register_module()
class CachedFeatureDataset(Dataset):
    """Features and labels of a finished cache (`build_cache`), memory-mapped.

    Args:
        path: Folder of the cache.
        key: The cache's key, if it must be a certain one.

    Raises:
        ValueError: No finished cache there, or one of another backbone, checkpoint or pipeline.
    """

    def __init__(self, path: str, key: str | None = None) -> None:
        meta = read_meta(path)
        if key is not None and meta['key'] != key:
            raise ValueError(
                f'{path} is the cache {meta["key"]} (backbone {meta["fingerprint"]["backbone"]}), '
                f'wanted is {key}: another backbone, checkpoint or pipeline; use another cache_dir'
            )
        self.meta = meta
        self._features = np.load(Path(path) / FEATURES, mmap_mode='r')
        self._labels = np.load(Path(path) / LABELS, mmap_mode='r')
        self.metainfo = meta['metainfo']

    def __len__(self) -> int:
        return len(self._features)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """``inputs`` (C, h, w) as float32, and a data sample with the labels (1, H, W)."""
        label = torch.from_numpy(np.array(self._labels[index], dtype=np.int64))[None]
        size = tuple(label.shape[1:])
        sample = SegDataSample(
            gt_sem_seg=PixelData(data=label),
            metainfo=dict(img_shape=size, ori_shape=size, pad_shape=size),
        )
        feature = torch.from_numpy(np.array(self._features[index], dtype=np.float32))
        return dict(inputs=feature, data_samples=sample)


@MODELS.register_module()
class CachedFeaturePreprocessor(BaseDataPreprocessor):
    """Stack features to a batch on the device; nothing is normalised or padded."""

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """A batch with ``inputs`` (N, C, h, w)."""
        data = self.cast_data(data)
        return dict(inputs=torch.stack(list(data['inputs'])), data_samples=data['data_samples'])


@MODELS.register_module()
class CachedFeatureBackbone(BaseModule):
    """Stands in for a backbone: the cached feature is its only feature."""

    def forward(self, x: Tensor) -> Sequence[Tensor]:
        """Return ``(x,)``."""
        return (x,)
