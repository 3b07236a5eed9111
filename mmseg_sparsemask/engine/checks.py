"""What would otherwise fail late, after the model is built or in the middle of a search."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from mmengine.config import Config

#: What a URI looks like to MMSegmentation's file backends; such a place cannot be checked here.
_URI_MARK = '://'


def check_checkpoint(checkpoint: str) -> None:
    """Make sure that a checkpoint given as a local path exists.

    Raises:
        FileNotFoundError: When it does not.
    """
    if _URI_MARK not in checkpoint and not os.path.isfile(checkpoint):
        raise FileNotFoundError(
            f'the checkpoint {checkpoint} does not exist; training leaves its checkpoints as '
            '*.pth in the work directory'
        )


def check_data_roots(cfg: Config, loaders: Sequence[str]) -> None:
    """Make sure that what the data sets of a config read from is there.

    Looks at ``data_root``, the folders in ``data_prefix`` and ``ann_file`` of every data set, also
    of those inside ``ConcatDataset``, ``RepeatDataset`` and the like. Addresses of other file
    backends (``s3://...``) are left alone, and a data set without files has nothing to check.

    Args:
        cfg: The whole config.
        loaders: Names of the data loaders that will be used, such as ``'train_dataloader'``.

    Raises:
        FileNotFoundError: When something is missing.
    """
    for loader in loaders:
        if cfg.get(loader, None) is not None:
            for key, dataset in _walk_datasets(cfg[loader]['dataset'], f'{loader}.dataset'):
                _check_dataset(key, dataset)


def _walk_datasets(dataset: dict, key: str) -> Iterator[tuple[str, dict]]:
    yield key, dataset
    if isinstance(dataset.get('dataset'), dict):
        yield from _walk_datasets(dataset['dataset'], f'{key}.dataset')
    for number, inner in enumerate(dataset.get('datasets') or ()):
        yield from _walk_datasets(inner, f'{key}.datasets.{number}')


def _check_dataset(key: str, dataset: dict) -> None:
    root = dataset.get('data_root') or ''
    if _URI_MARK in root:
        return
    if root and not os.path.isdir(root):
        raise FileNotFoundError(
            f'{key}.data_root = {root!r} does not exist (data set {dataset.get("type")}, '
            f'seen from {os.getcwd()}); link or convert the data as in docs/data.md, or set '
            f'--cfg-options {key}.data_root=PATH'
        )
    places = {f'data_prefix.{k}': v for k, v in (dataset.get('data_prefix') or {}).items()}
    places['ann_file'] = dataset.get('ann_file')
    for name, place in places.items():
        if not place or _URI_MARK in place:
            continue
        path = os.path.join(root, place)
        if not os.path.exists(path):
            raise FileNotFoundError(
                f'{key}.{name} = {place!r} does not exist: there is no {path} '
                f'(data set {dataset.get("type")}); see docs/data.md for the layout'
            )
