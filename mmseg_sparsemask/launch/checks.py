"""What would otherwise fail late, after the model is built or in the middle of a search."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS

from mmseg_sparsemask.datasets.items import stated_meta
from mmseg_sparsemask.models.describe import describe_backbone, head_mismatch
from mmseg_sparsemask.search.derived import leaves_end_unused
from mmseg_sparsemask.utils.extras import require_extra
from mmseg_sparsemask.utils.read_config import has_supernet, heads_of
from mmseg_sparsemask.utils.registered import type_name, types_in
from mmseg_sparsemask.utils.tool_command import tool_command

#: What a URI looks like to MMSegmentation's file backends; such a place cannot be checked here.
_URI_MARK = '://'

#: Heads that make labels of their own of those that are given: STDC's learns boundaries.
_OWN_LABELS = ('STDCHead',)


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


def check_extras(cfg: Config) -> None:
    """Make sure that the optional libraries are there which the toolbox imports for this config.

    Raises:
        ImportError: With the line to run.
    """
    for extra, name, part in (
        ('timm', 'TIMMBackbone', 'model'),
        ('tensorboard', 'TensorboardVisBackend', 'visualizer'),
    ):
        if any(name in str(kind) for kind in types_in(cfg.get(part, {}))):
            require_extra(extra, extra)


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
    for key, dataset in datasets_of(cfg, loaders):
        _check_dataset(cfg, key, dataset)


def datasets_of(cfg: Config, loaders: Sequence[str]) -> Iterator[tuple[str, dict]]:
    """(key, settings) of every data set of some loaders, also of those inside others."""
    for loader in loaders:
        if cfg.get(loader, None) is not None:
            yield from _walk_datasets(cfg[loader]['dataset'], f'{loader}.dataset')


def _walk_datasets(dataset: dict, key: str) -> Iterator[tuple[str, dict]]:
    yield key, dataset
    if isinstance(dataset.get('dataset'), dict):
        yield from _walk_datasets(dataset['dataset'], f'{key}.dataset')
    for number, inner in enumerate(dataset.get('datasets') or ()):
        yield from _walk_datasets(inner, f'{key}.datasets.{number}')


def _check_dataset(cfg: Config, key: str, dataset: dict) -> None:
    root = dataset.get('data_root') or ''
    if _URI_MARK in root:
        return
    if root and not os.path.isdir(root):
        # Every key that names this folder, so that one change of them is enough.
        everywhere = datasets_of(cfg, ('train_dataloader', 'val_dataloader', 'test_dataloader'))
        keys = [name for name, other in everywhere if other.get('data_root') == root]
        raise FileNotFoundError(
            f'{key}.data_root = {root!r} does not exist (data set {dataset.get("type")}, '
            f'seen from {os.getcwd()}); docs/data.md says how to get the data. Link them '
            f'(ln -s PATH {root.rstrip("/")}), or set --cfg-options '
            + ' '.join(f'{name}.data_root=PATH' for name in keys)
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


def check_classes(cfg: Config, loader: str) -> None:
    """Compare the heads' classes with those of the data set.

    More than there are is said in a warning. A binary task may count the background or not: one
    class and two are the same. A data set that does not say its classes is left alone.

    Args:
        cfg: The whole config.
        loader: Name of the data loader, such as ``'train_dataloader'``.

    Raises:
        ValueError: A head has fewer, so that labels would be out of its range.
    """
    for key, dataset in datasets_of(cfg, [loader]):
        kind = dataset.get('type')
        kind = DATASETS.get(kind) if isinstance(kind, str) else kind
        classes = len(stated_meta(kind, dataset).get('classes') or ())
        for name, head in labelled_heads(cfg.model):
            number = head.get('num_classes')
            if not classes or number is None or number == classes or {number, classes} <= {1, 2}:
                continue
            text = (
                f'{name}.num_classes = {number}, but {key} ({type_name(dataset)}) has {classes} '
                f'classes; set --cfg-options {name}.num_classes={classes}'
            )
            if number < classes:
                raise ValueError(text)
            warn(text)


def check_features(cfg: Config) -> None:
    """Compare strides and channels of the heads with what the backbone gives.

    Only heads that are told strides are looked at.

    Args:
        cfg: The whole config.

    Raises:
        ValueError: They differ.
    """
    heads = {key: head for key, head in heads_of(cfg.model) if 'strides' in head}
    if not heads:
        return
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    try:
        features = describe_backbone(cfg.model, (256, 256)).features
    except ValueError:
        return  # not a backbone that can be looked at before it runs
    for key, head in heads.items():
        if mismatch := head_mismatch(head, features):
            shown = tool_command('describe_backbone')
            raise ValueError(f'{key}.{mismatch}; {shown} shows them')


def check_unused_end(cfg: Config) -> None:
    """Make sure that several processes do not wait for gradients which never come.

    Layers behind the last feature that a head takes get none, and the second iteration would end
    with a message that says so in other words.

    Args:
        cfg: The whole config.

    Raises:
        ValueError: The decoder leaves the end of the encoder unused, and nobody is told.
    """
    key = 'model_wrapper_cfg' if cfg.get('model_wrapper_cfg') else ''
    told = (cfg.get(key) or cfg).get('find_unused_parameters')
    others = dict(heads_of(cfg.model))
    head = others.pop('model.decode_head', {})
    if cfg.launcher == 'none' or told or type_name(head) not in ('SparseMaskHead', 'FDNHead'):
        return
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    with torch.device('meta'):
        connectivity = MODELS.build(head).connectivity
    taken = [other.get('in_index') for other in others.values()]
    last = {head['in_index'][-1], -1}
    elsewhere = any(last & set(np.atleast_1d(index).tolist()) for index in taken)
    if leaves_end_unused(connectivity) and not elsewhere:
        raise ValueError(
            'model.decode_head takes nothing from the end of the encoder, whose gradients several '
            'processes would wait for; set --cfg-options '
            f'{key + "." if key else ""}find_unused_parameters=True'
        )


def labelled_heads(model: dict) -> Iterator[tuple[str, dict]]:
    """(key, settings) of every head of a model that learns the classes of the data."""
    yield from (item for item in heads_of(model) if type_name(item[1]) not in _OWN_LABELS)


def warn_without_pruning(cfg: Config) -> None:
    """Say so when a config searches but nothing prunes what it finds."""
    hooks = cfg.get('custom_hooks') or ()
    searches = has_supernet(cfg.model)
    if searches and not any('PruneHook' in type_name(hook) for hook in hooks):
        warn(
            'FDNHead searches, but custom_hooks has no PruneHook: nothing will be pruned at the '
            "end. Add custom_hooks = [dict(type='PruneHook')], or use "
            f'{tool_command("prune")} afterwards'
        )


def warn(text: str) -> None:
    """Say something at the start of a run."""
    print_log(text, logger='current', level=logging.WARNING)
