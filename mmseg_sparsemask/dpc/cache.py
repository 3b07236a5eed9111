"""The feature cache: a frozen backbone's features of a data set, computed once, kept on disk.

One folder per backbone, checkpoint and pipeline, named by a hash of all that goes into it. A folder
without ``meta.json`` is unfinished; only the process that holds the folder's lock writes to it, and
it goes on where an interrupted one stopped.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from filelock import FileLock, Timeout
from mmengine.logging import print_log
from mmengine.structures import PixelData
from mmseg.registry import DATASETS
from torch import Tensor, nn
from tqdm import tqdm

from mmseg_sparsemask.datasets.items import files_digest
from mmseg_sparsemask.dpc.cached import FEATURES, LABELS, META, read_meta
from mmseg_sparsemask.utils.checks import check_one_of, check_whole
from mmseg_sparsemask.utils.files import read_json, write_json
from mmseg_sparsemask.utils.repeatable import encoder_digest, fingerprint_key, seeded

#: Images between two points from which an interrupted build can go on.
CHUNK = 16

DTYPES = ('float16', 'float32')


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold an exclusive lock on a file; it falls free when the process ends, however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        print_log(f'{what}: another process is working on it, waiting', logger='current')
        held = lock.acquire()
    with held:
        yield


def _resized(label: Tensor, size: tuple[int, int]) -> Tensor:
    """Labels (1, H, W) at another size, nearest."""
    return F.interpolate(label[None].float(), size=size, mode='nearest-exact')[0].to(label.dtype)


@dataclass
class FeatureExtractor:
    """One feature and the labels of items of a data set, by a frozen backbone.

    Args:
        model: A segmentor with ``data_preprocessor`` and ``extract_feat``; set to evaluation.
        source: Config of a data set whose pipeline ends in ``PackSegInputs``.
        in_index: Which feature.
        images: Only this many of the first images; all if None.
        passes: How often the data set is gone through, each time with other random augmentation.
        seed: Seed of the augmentation; an item depends on it and on its position alone.
        label_stride: Labels are kept at the image's size over this, nearest.
        dtype: ``float16`` or ``float32``, of the kept features.
        backbone: The backbone's config, for the fingerprint.
        preprocessor: The data preprocessor's config, for the fingerprint.
        neck: The neck's config, for the fingerprint, if there is one.

    Raises:
        ValueError: A number out of range.
    """

    model: nn.Module
    source: Mapping[str, Any]
    in_index: int
    images: int | None
    passes: int
    seed: int
    label_stride: int
    dtype: str
    backbone: Mapping[str, Any]
    preprocessor: Mapping[str, Any]
    neck: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        check_one_of('dtype', self.dtype, DTYPES)
        images = {} if self.images is None else {'images': self.images}
        check_whole(1, **images, passes=self.passes, label_stride=self.label_stride)
        self.model.eval()
        self.dataset = DATASETS.build(copy.deepcopy(dict(self.source)))
        available = len(self.dataset)
        if available == 0:
            raise ValueError('the data set of the proxy task is empty; check its paths')
        self.images = min(self.images or available, available)
        self.length = self.images * self.passes
        found = {f.name: getattr(self, f.name) for f in fields(self) if f.name != 'model'}
        found['dataset'] = found.pop('source')
        found |= {'version': 1, 'weights': encoder_digest(self.model)}
        found['files'] = files_digest(self.dataset, range(self.images))
        self.fingerprint: dict[str, Any] = json.loads(json.dumps(found, default=repr))
        self.key = fingerprint_key(self.fingerprint)

    @property
    def metainfo(self) -> dict[str, Any]:
        """Classes and palette of the data set."""
        info = self.dataset.metainfo
        return {k: info[k] for k in ('classes', 'palette') if info.get(k) is not None}

    def batch(self, start: int, stop: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Features (C, h, w) and labels (H, W) of each of the items ``start`` to ``stop - 1``.

        Raises:
            ValueError: Labels beyond 255, or features that ``dtype`` cannot hold.
        """
        features, labels = [], []
        for index in range(start, stop):
            with seeded(self.seed, index):
                item = self.dataset[index % self.images]
            sample = item['data_samples']
            size = tuple(item['inputs'].shape[1:])
            sample.gt_sem_seg = PixelData(data=_resized(sample.gt_sem_seg.data, size))
            with torch.no_grad():
                # As in training: images smaller than the crop are padded.
                data = self.model.data_preprocessor(
                    dict(inputs=[item['inputs']], data_samples=[sample]), training=True
                )
                features_all = self.model.extract_feat(data['inputs'])
            if isinstance(features_all, Tensor):  # as some backbones give a single feature
                raise ValueError(
                    'the backbone gives one tensor instead of a tuple of features, which in_index '
                    'would take apart; let it give two or more (out_indices)'
                )
            feature = features_all[self.in_index]
            label = data['data_samples'][0].gt_sem_seg.data
            small = tuple(-(-side // self.label_stride) for side in label.shape[1:])
            label = _resized(label, small)[0].cpu().numpy()
            if label.min() < 0 or label.max() > 255:
                raise ValueError(f'labels must lie in 0 to 255, got up to {label.max()}')
            with np.errstate(over='ignore'):  # told below, with a remedy
                kept = feature[0].cpu().numpy().astype(self.dtype)
            if not np.isfinite(kept).all():
                raise ValueError(
                    f'features of image {index} overflow {self.dtype}; set dpc_search.proxy.dtype '
                    "to 'float32'"
                )
            features.append(kept)
            labels.append(label.astype(np.uint8))
        return features, labels


def readable(size: float) -> str:
    """Bytes in words."""
    return tqdm.format_sizeof(size, 'B')


def _noted(progress: Path) -> int:
    """How many items an interrupted build has noted as written."""
    try:
        done = read_json(progress)['done']
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    return done if type(done) is int and done > 0 else 0


def _open_array(path: Path, length: int, first: np.ndarray) -> tuple[np.ndarray, bool]:
    """An array on disk of ``length`` items like ``first``, and whether it was there already.

    All of its room is taken at once: a mapped page that finds none later would kill the process.

    Raises:
        ValueError: There is no room, or the file cannot be written.
    """
    shape = (length, *first.shape)
    try:
        # Only reading refuses a file that was cut; 'r+' would lengthen it.
        whole = np.lib.format.open_memmap(path, 'r')
        if whole.shape == shape and whole.dtype == first.dtype:
            return np.lib.format.open_memmap(path, 'r+'), True
    except (OSError, ValueError):
        pass  # not there, or not whole
    try:
        array = np.lib.format.open_memmap(path, 'w+', first.dtype, shape)
        with open(path, 'r+b') as file:
            if hasattr(os, 'posix_fallocate'):  # Linux and the BSDs
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        return array, False
    except OSError as error:
        path.unlink(missing_ok=True)
        raise ValueError(
            f'{path}: cannot be written ({error.strerror}); make room, or set '
            'dpc_search.proxy.cache_dir to another disk; the same command goes on'
        ) from None


def _write(array: np.ndarray, start: int, items: Sequence[np.ndarray]) -> None:
    """Write items into an array, down to the disk."""
    for place, item in enumerate(items, start):
        if item.shape != array.shape[1:]:
            raise ValueError(
                f'a cache needs features and labels of one size, got {item.shape} after '
                f'{array.shape[1:]}; let the pipeline resize or crop all images alike, or set '
                'data_preprocessor.size'
            )
        array[place] = item
    array.flush()


def build_cache(extractor: FeatureExtractor, cache_dir: str | Path, name: str) -> Path:
    """Compute a cache, or go on with an interrupted one; nothing to do if it is finished.

    Any number of processes may call this at once: one computes, the others wait.

    Args:
        extractor: What to compute.
        cache_dir: Folder of all caches; this one becomes the subfolder named by its key.
        name: For messages, e.g. ``train``.

    Returns:
        The folder of the finished cache.

    Raises:
        ValueError: The disk is too small (nothing is written then), or what
            `FeatureExtractor.batch` refuses; items of several sizes.
    """
    folder = Path(cache_dir) / extractor.key
    with locked(Path(cache_dir) / f'{extractor.key}.lock', f'{name} cache'):
        if (folder / META).exists():
            meta = read_meta(folder)
            print_log(
                f'{name} cache: {folder}, {meta["length"]} items, {readable(meta["bytes"])}',
                logger='current',
            )
            return folder
        first = dict(zip((FEATURES, LABELS), (item[0] for item in extractor.batch(0, 1))))
        feature, label = first.values()
        partial = {file: folder / f'{file}.partial' for file in first}
        needed = sum(extractor.length * item.nbytes for item in first.values())
        present = sum(f.stat().st_blocks * 512 for f in partial.values() if f.exists())
        free = shutil.disk_usage(cache_dir).free
        print_log(
            f'{name} cache: {extractor.length} items, features {feature.shape} '
            f'{extractor.dtype}, labels {label.shape}: {readable(needed)} in {folder} '
            f'({readable(free)} free)',
            logger='current',
        )
        if needed - present > free:
            raise ValueError(
                f'the {name} cache needs {readable(needed)}, {readable(free)} are free in '
                f'{cache_dir}; set dpc_search.proxy.cache_dir to a larger disk, or cache fewer '
                'images (train_images, val_images, passes)'
            )
        folder.mkdir(parents=True, exist_ok=True)
        progress = folder / 'progress.json'
        opened = [_open_array(path, extractor.length, first[f]) for f, path in partial.items()]
        done = _noted(progress) if all(present for _, present in opened) else 0
        # disable=None: no bar where there is no terminal.
        bar = tqdm(
            total=extractor.length, initial=done, desc=f'{name} cache', unit='img', disable=None
        )
        with bar:
            while done < extractor.length:
                stop = min(done + CHUNK, extractor.length)
                for (array, _), items in zip(opened, extractor.batch(done, stop), strict=True):
                    _write(array, done, items)
                bar.update(stop - done)
                done = stop
                write_json(progress, {'done': done})
        for file, path in partial.items():
            os.replace(path, folder / file)
        meta = dict(
            key=extractor.key,
            length=extractor.length,
            bytes=needed,
            channels=feature.shape[0],
            feature_size=list(feature.shape[1:]),
            label_size=list(label.shape),
            metainfo=extractor.metainfo,
            fingerprint=extractor.fingerprint,
            files={file: (folder / file).stat().st_size for file in partial},
        )
        write_json(folder / META, meta)
        progress.unlink()
    return folder
