"""What the command-line tools do between reading a config and handing it to the Runner.

Every function here takes a config and changes just the part it names, or checks something early
that would otherwise fail late: after the model is built, or in the middle of a search.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from torch import distributed

#: What a URI looks like to the toolbox's file backends; such a place cannot be checked here.
_URI_MARK = '://'


def load_config(
    path: str,
    work_dir: str | None = None,
    cfg_options: dict | None = None,
    launcher: str = 'none',
) -> Config:
    """Read a config as the toolbox's own tools do.

    Args:
        path: The config file.
        work_dir: Where logs and checkpoints go; None takes the config's, and if it has none,
            ``work_dirs/<name of the config file>``.
        cfg_options: Values to override, with dotted keys.
        launcher: ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.

    Returns:
        The config, with ``work_dir`` and ``launcher`` set.
    """
    cfg = Config.fromfile(path)
    cfg.launcher = launcher
    if cfg_options is not None:
        cfg.merge_from_dict(cfg_options)
    if work_dir is not None:
        cfg.work_dir = work_dir
    elif cfg.get('work_dir', None) is None:
        cfg.work_dir = os.path.join('./work_dirs', Path(path).stem)
    return cfg


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


def enable_amp(cfg: Config) -> None:
    """Train in mixed precision: the toolbox's way on a GPU, bfloat16 autocast on a CPU.

    Raises:
        ValueError: When the config has an optimiser wrapper of its own kind.
    """
    wanted = 'CPUAmpOptimWrapper' if get_device() == 'cpu' else 'AmpOptimWrapper'
    current = cfg.optim_wrapper.get('type', 'OptimWrapper')
    if current == wanted:
        print_log(f'--amp: the config has {wanted} already', logger='current')
        return
    if current not in ('OptimWrapper', 'AmpOptimWrapper', 'CPUAmpOptimWrapper'):
        raise ValueError(
            f'--amp replaces the optimiser wrapper OptimWrapper, but the config has {current}; '
            'leave out --amp and choose the precision in the config'
        )
    cfg.optim_wrapper.type = wanted
    if wanted == 'AmpOptimWrapper':
        cfg.optim_wrapper.loss_scale = 'dynamic'
    else:
        # These two belong to the wrapper for GPUs.
        cfg.optim_wrapper.pop('loss_scale', None)
        cfg.optim_wrapper.pop('dtype', None)


@contextmanager
def process_group(cfg: Config) -> Iterator[None]:
    """Context in which the processes of a launcher work on one job.

    On GPUs the Runner sets everything up. On CPUs it would select a GPU all the same, so the group
    is made here, with gloo, and the config gets a model wrapper without device numbers and BN for
    SyncBN. On the way out all processes wait for each other, so that none takes the group down
    while another still writes; after an error they do not, since one would wait for ever.

    Args:
        cfg: The whole config; ``launcher`` as `load_config` left it.

    Raises:
        ValueError: When there is no GPU and the launcher is neither ``'none'`` nor ``'pytorch'``.
    """
    if cfg.launcher != 'none' and get_device() == 'cpu':
        _prepare_cpu_processes(cfg)
    yield
    if distributed.is_available() and distributed.is_initialized():
        distributed.barrier()
        distributed.destroy_process_group()


def _prepare_cpu_processes(cfg: Config) -> None:
    if cfg.launcher != 'pytorch':
        raise ValueError(
            f'the launcher {cfg.launcher!r} needs GPUs and there is none; '
            'on CPUs use tools/dist_train.sh or tools/dist_test.sh (launcher pytorch)'
        )
    wrapper = dict(cfg.get('model_wrapper_cfg') or {})
    wrapper.setdefault('type', 'MMDistributedDataParallel')
    wrapper.setdefault('broadcast_buffers', False)
    wrapper.setdefault('find_unused_parameters', cfg.get('find_unused_parameters', False))
    wrapper['device_ids'] = None
    cfg.model_wrapper_cfg = wrapper
    replaced = _replace_sync_bn(cfg.model)
    if replaced:
        print_log(f'no GPU: BN instead of SyncBN in {replaced} places', logger='current')
    distributed.init_process_group(backend='gloo')


def _replace_sync_bn(node: dict | list | tuple) -> int:
    """Turn ``type='SyncBN'`` into ``type='BN'`` everywhere below a node; return how often."""
    replaced = 0
    if isinstance(node, dict):
        if node.get('type') == 'SyncBN':
            node['type'] = 'BN'
            replaced += 1
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        replaced += sum(_replace_sync_bn(child) for child in node)
    return replaced


def enable_drawing(
    cfg: Config, show: bool = False, show_dir: str | None = None, wait_time: float = 2.0
) -> None:
    """Draw the predictions of a test run.

    Args:
        cfg: The whole config.
        show: Open a window for each image.
        show_dir: Folder for the drawings; they end up in its ``vis_data/vis_image``.
        wait_time: Seconds a window stays.

    Raises:
        ValueError: When the config has no visualisation hook.
    """
    hooks = cfg.get('default_hooks', {})
    if 'visualization' not in hooks:
        raise ValueError(
            '--show and --show-dir need the visualisation hook; add '
            "default_hooks = dict(visualization=dict(type='SegVisualizationHook')) to the config"
        )
    hooks['visualization']['draw'] = True
    if show:
        hooks['visualization']['show'] = True
        hooks['visualization']['wait_time'] = wait_time
    if show_dir is not None:
        cfg.visualizer['save_dir'] = show_dir


def enable_tta(cfg: Config) -> None:
    """Test with the config's ``tta_pipeline`` and ``tta_model``: several scales, and flipped.

    Raises:
        ValueError: When the config lacks either of the two.
    """
    for key in ('tta_model', 'tta_pipeline'):
        if cfg.get(key, None) is None:
            raise ValueError(f'--tta needs {key} in the config; configs/_base_ has examples')
    # The copies of one image are not stacked, so each batch holds one image.
    cfg.test_dataloader.batch_size = 1
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    cfg.tta_model.module = cfg.model
    cfg.model = cfg.tta_model


def save_predictions(cfg: Config, folder: str) -> None:
    """Let every test metric write the predicted label maps to a folder as PNG."""
    evaluators = cfg.test_evaluator
    for evaluator in evaluators if isinstance(evaluators, (list, tuple)) else [evaluators]:
        evaluator['output_dir'] = folder
