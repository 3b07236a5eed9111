"""What the first images of a data set tell before a training starts."""

from __future__ import annotations

import copy
import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS

from mmseg_sparsemask.datasets.reading import read_raw_image, suffixes_in
from mmseg_sparsemask.launch.checks import labelled_heads, warn
from mmseg_sparsemask.models.backbones.probing import image_channels
from mmseg_sparsemask.utils.words import listed

#: How many label maps of a data set are read at most: fewer when all classes were seen before.
FIRST = 100


def check_images(cfg: Config) -> None:
    """Look at the images of a training and of its validation, and at the first label maps.

    Says in a warning when a class never occurs in the first label maps, as with masks of 0 and 255,
    whose 255 is ignored, when the toolbox's loader cuts labels to eight bits, and when the first
    label maps of the validation know one class of several.

    Raises:
        ValueError: A data set without images, label maps in colour, labels that a head does not
            have, or a batch of one image for a network that cannot be trained on one.
    """
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    missing = False
    for loader in ('train_dataloader', 'val_dataloader'):
        if cfg.get(loader) is None:
            continue
        key = f'{loader}.dataset'
        dataset = DATASETS.build(_plainly(cfg[loader].dataset))
        if not hasattr(dataset, '__len__'):
            continue  # a stream
        for name, part in _parts(key, dataset):
            if not len(part):
                raise ValueError(_no_image(name, part))
            if loader == 'train_dataloader':
                missing |= _check_labels(cfg, name, part)
            elif not missing:
                _check_scored(cfg, name, part)
        if loader == 'train_dataloader':
            _check_batches(cfg, len(dataset))


def _plainly(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a data set that keeps its list as it is: the toolbox cannot pack an empty one."""
    settings = copy.deepcopy(dict(settings))
    for name, value in settings.items():
        if name == 'dataset':
            settings[name] = _plainly(value)
        elif name == 'datasets':
            settings[name] = [_plainly(one) for one in value]
    kind = settings.get('type')
    kind = DATASETS.get(kind) if isinstance(kind, str) else kind
    if isinstance(kind, type) and issubclass(kind, BaseDataset):
        settings.setdefault('serialize_data', False)
    return settings


def _parts(key: str, dataset: Any) -> Iterator[tuple[str, Any]]:
    """(key, data set) of those that others are made of."""
    if hasattr(dataset, 'datasets'):
        for number, one in enumerate(dataset.datasets):
            yield from _parts(f'{key}.datasets.{number}', one)
    elif hasattr(dataset, 'dataset'):
        yield from _parts(f'{key}.dataset', dataset.dataset)
    else:
        yield key, dataset


def _no_image(key: str, dataset: Any) -> str:
    folder = (getattr(dataset, 'data_prefix', None) or {}).get('img_path')
    text = f'{key} ({type(dataset).__name__}): no image found'
    if not folder or not os.path.isdir(folder):
        return f'{text}; check its paths'
    suffix = getattr(dataset, 'img_suffix', None)
    found, suffixes = suffixes_in(Path(folder))
    likely = next((s for s in suffixes if s and s != suffix), '.png')
    return (
        f'{text} that ends in {suffix!r} in {folder}, which holds {found}; '
        f'set --cfg-options {key}.img_suffix={likely}'
    )


def _label_maps(key: str, dataset: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Path and labels of the first images, as the data set's own pipeline loads them."""
    transforms = getattr(getattr(dataset, 'pipeline', None), 'transforms', ())
    names = [type(transform).__name__ for transform in transforms]
    loads = [
        t for t, name in zip(transforms, names) if name.startswith('Load') and 'Image' not in name
    ]
    for index in range(min(FIRST, len(dataset)) if loads else 0):
        item = dataset.get_data_info(index)
        if '\ufeff' in str(item.get('img_path')):
            raise ValueError(
                f'{key}: the list {dataset.ann_file} begins with a byte order mark, which became '
                'part of a name; save it as UTF-8 without one'
            )
        for load in loads:
            item = load(item) if item is not None and 'seg_map_path' in item else None
        if item is None or 'gt_seg_map' not in item:
            return
        yield item['seg_map_path'], np.asarray(item['gt_seg_map'])


def _check_scored(cfg: Config, key: str, dataset: Any) -> None:
    """Say so when the first label maps to be scored know one class of several."""
    classes = (getattr(dataset, 'metainfo', None) or {}).get('classes') or ()
    ignored = _ignored(cfg)
    seen: set[int] = set()
    for _, labels in _label_maps(key, dataset):
        seen.update(np.unique(labels).tolist())
        if labels.ndim != 2 or len(seen - ignored) > 1:
            return
    if seen and len(classes) > 1:
        warn(
            f'{key}: the first {min(FIRST, len(dataset))} label maps hold the values '
            f'{listed(sorted(seen))}, of which {listed(sorted(ignored))} is ignored: scores '
            f'are those of one class of {len(classes)}; {_remedy(seen)}'
        )


def _ignored(cfg: Config) -> set[int]:
    """What every head ignores: to a loss, any other number is a class."""
    found = {head.get('ignore_index', 255) for _, head in labelled_heads(cfg.model)}
    return found if len(found) == 1 else set()


def _remedy(seen: Collection[int]) -> str:
    if set(seen) == {0, 255}:
        return 'LoadSaliencyMask in the place of LoadAnnotations reads 255 as the label 1'
    return 'compare the label maps with classes and reduce_zero_label'


def _check_labels(cfg: Config, key: str, dataset: Any) -> bool:
    """Refuse labels that a head does not have; return whether a class was missing, and say it."""
    classes = (getattr(dataset, 'metainfo', None) or {}).get('classes') or ()
    heads = [head for _, head in labelled_heads(cfg.model) if head.get('num_classes')]
    ignored = _ignored(cfg)
    seen: Counter[int] = Counter()
    cut: set[int] = set()
    for path, labels in _label_maps(key, dataset):
        if labels.ndim != 2:
            raise ValueError(
                f'{key}: {path} is an image of {labels.shape[-1]} channels, expected a label map '
                'with one value a pixel; write the number of the class in the place of its colour'
            )
        seen.update(np.unique(labels).tolist())
        cut |= _cut(path, labels, ignored)
        if len(seen.keys() & set(range(len(classes)))) == len(classes):
            break
    if cut:
        one = min(cut)
        warn(
            f'{key}: label maps hold values above 255, such as {one}, which the loader cuts to '
            f'eight bits: {one} becomes {one % 256}. Write labels of eight bits, 255 for void'
        )
    if not seen or not classes:
        return False
    # One output tells two labels apart.
    limit = min([max(head['num_classes'], 2) for head in heads] or [256])
    beyond = sorted(value for value in seen.keys() - ignored if value >= limit)
    if beyond:
        raise ValueError(
            f'{key}: label maps hold the values {listed(sorted(seen))}, a head has the labels 0 '
            f'to {limit - 1} and ignores {listed(sorted(ignored)) or "nothing"}; write the labels '
            'so, or set classes and num_classes, ignore_index of every head, or '
            'reduce_zero_label=True where 0 is void and classes begin at 1'
        )
    missing = [name for label, name in enumerate(classes) if label not in seen]
    if missing:
        warn(
            f'{key}: the first {min(FIRST, len(dataset))} label maps hold the values '
            f'{listed(sorted(seen))}, so never {listed(missing)} (ignored: '
            f'{listed(sorted(ignored))}). A class that never occurs is not learned, and mIoU '
            f'leaves it out; {_remedy(seen)}'
        )
    return bool(missing)


def _cut(path: str, labels: np.ndarray, ignored: set[int]) -> set[int]:
    """Values of a file that eight bits cannot hold, but for those that become void."""
    if labels.dtype != np.uint8:
        return set()
    try:
        values = read_raw_image(path, None)
    except (OSError, ValueError):
        return set()  # read by a loader of its own
    if values.ndim != 2 or values.dtype == np.uint8:
        return set()
    return {int(v) for v in np.unique(values[values > 255]) if int(v) % 256 not in ignored}


def _check_batches(cfg: Config, images: int) -> None:
    """Refuse a batch of one image for a network whose norms need two."""
    loader = cfg.train_dataloader
    size = smallest = loader.get('batch_size') or 0
    sampler = str((loader.get('sampler') or {}).get('type'))
    # Those of Slurm and MPI are not counted here.
    several = cfg.get('launcher') in ('slurm', 'mpi') or int(os.environ.get('WORLD_SIZE', 1)) > 1
    if not size or several:
        return
    if 'DefaultSampler' in sampler and not loader.get('drop_last'):
        smallest = images % size or size
    if smallest != 1:
        return
    model = revert_sync_batchnorm(MODELS.build(copy.deepcopy(cfg.model))).train()
    try:
        with torch.no_grad():
            features = model.extract_feat(torch.zeros(1, image_channels(model.backbone), 128, 128))
            heads = getattr(model, 'auxiliary_head', None) or []
            for head in [model.decode_head, *(heads if hasattr(heads, '__iter__') else [heads])]:
                head(features)
    except ValueError as error:
        remedy = (
            'set --cfg-options train_dataloader.drop_last=True, or another train_dataloader.'
            'batch_size'
            if size > 1
            else 'set --cfg-options train_dataloader.batch_size=2 or more'
        )
        raise ValueError(
            f'train_dataloader: {images} images in batches of {size} leave a batch of one, which '
            f'this network cannot be trained on ({error}); {remedy}'
        ) from None
    except Exception:  # noqa: BLE001 of another kind of network, which the run itself will tell
        return
