"""The proxy task: train a cell on cached features for a fixed budget, score it by mIoU.

Everything that trains is the toolbox's: runner, loops, optimiser, metric (section 3.3 of the paper
describes the idea: a small frozen backbone, features computed once, few iterations).
"""

from __future__ import annotations

import copy
import gc
import hashlib
import math
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.hooks import EarlyStoppingHook, Hook
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, load_state_dict
from mmengine.visualization import Visualizer
from mmseg.registry import MODELS

from mmseg_sparsemask.dpc.cache import FeatureExtractor, build_cache, locked
from mmseg_sparsemask.dpc.cached import read_meta
from mmseg_sparsemask.dpc.cell import Cell
from mmseg_sparsemask.dpc.settings import ProxySettings
from mmseg_sparsemask.utils.checkpoints import load_checkpoint
from mmseg_sparsemask.utils.files import replacing
from mmseg_sparsemask.utils.registered import replace_sync_bn, type_name
from mmseg_sparsemask.utils.repeatable import fingerprint_key, seeded
from mmseg_sparsemask.utils.runner import build_runner, trained_model, warnings_alone
from mmseg_sparsemask.utils.timing import repeated


@dataclass(frozen=True)
class ProxyTask:
    """All that a worker needs to score cells: plain data, so that it can be sent to a process.

    Args:
        model: The ``model`` dict of the search config.
        evaluator: The ``val_evaluator`` of the search config.
        settings: See `ProxySettings`.
        train: Folder of the training cache.
        val: Folder of the held-out cache.
        imports: The ``custom_imports`` of the search config, which register what its parts name.
    """

    model: Mapping[str, Any]
    evaluator: Any
    settings: ProxySettings
    train: str
    val: str
    imports: Mapping[str, Any] | None = None

    @property
    def keys(self) -> dict[str, str]:
        """The keys of both caches: scores compare only where these are equal."""
        return {'train': read_meta(self.train)['key'], 'val': read_meta(self.val)['key']}

    @property
    def feature_size(self) -> tuple[int, int]:
        """(height, width) of the training features."""
        height, width = read_meta(self.train)['feature_size']
        return height, width

    def head(self, cell: Cell, narrow: bool = True) -> dict[str, Any]:
        """The decode head's config with ``cell`` in it, reading the cached feature.

        Args:
            cell: Any cell.
            narrow: With the proxy's ``filters``; else with the config's own.

        Raises:
            ValueError: The cache has other channels than the head expects.
        """
        head = copy.deepcopy(dict(self.model['decode_head']))
        channels = read_meta(self.train)['channels']
        if head['in_channels'] != channels:
            raise ValueError(
                f'the cache {self.train} has features of {channels} channels, the head expects '
                f'{head["in_channels"]}: it is the cache of another backbone, or of another '
                'in_index'
            )
        head.update(cell=cell.to_dict(), in_index=0)
        if narrow and self.settings.filters is not None:
            head.update(filters=self.settings.filters, channels=self.settings.filters)
        replace_sync_bn(head)  # a trial is one process
        return head


@dataclass(frozen=True)
class ProxyResult:
    """What came of training one cell.

    Args:
        miou: The best mIoU on the held-out cache, in percent.
        curve: All (iteration, mIoU) in order.
        seconds: Wall time of the training, scores included.
    """

    miou: float
    curve: tuple[tuple[int, float], ...]
    seconds: float


class _Curve(Hook):
    """Keeps every score of a run, and passes it on."""

    def __init__(self, report: Callable[[int, float], None]) -> None:
        self.report = report
        self.scores: list[tuple[int, float]] = []

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        if not metrics or 'mIoU' not in metrics:
            raise ValueError(
                f'the proxy scores by mIoU, val_evaluator gives {sorted(metrics or {})}; use '
                "dict(type='IoUMetric', iou_metrics=['mIoU'])"
            )
        miou = float(metrics['mIoU'])
        if not math.isfinite(miou):
            raise ValueError(
                f'the mIoU of the held-out images is {miou}: none of their pixels has a label that '
                'counts; check the data set and the pipeline of val_dataloader'
            )
        self.scores.append((runner.iter, round(miou, 4)))
        self.report(*self.scores[-1])


def _training(
    name: str, seed: int, iters: int, val_interval: int, log_interval: int
) -> dict[str, Any]:
    """What the runners of the warm-up and of a cell's training have in common."""
    return dict(
        experiment_name=name,
        randomness=dict(seed=seed),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=iters, val_interval=val_interval),
        param_scheduler=[dict(type='PolyLR', power=0.9, begin=0, end=iters, by_epoch=False)],
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=log_interval, log_metric_by_epoch=False),
            checkpoint=None,
        ),
        log_processor=dict(by_epoch=False),
        visualizer=dict(type='Visualizer', vis_backends=[], name=name),
    )


def proxy_config(task: ProxyTask, cell: Cell, work_dir: str, name: str) -> dict[str, Any]:
    """The runner's config that trains ``cell`` on the caches of ``task``."""
    settings = task.settings
    keys = task.keys

    def loader(path: str, key: str, shuffle: bool) -> dict[str, Any]:
        sampler = dict(type='InfiniteSampler' if shuffle else 'DefaultSampler', shuffle=shuffle)
        return dict(
            batch_size=settings.batch_size,
            num_workers=0,
            sampler=sampler,
            dataset=dict(type='CachedFeatureDataset', path=str(path), key=key),
        )

    return dict(
        default_scope='mmseg',
        work_dir=work_dir,
        log_level='ERROR',
        model=dict(
            type='EncoderDecoder',
            data_preprocessor=dict(type='CachedFeaturePreprocessor'),
            backbone=dict(type='CachedFeatureBackbone'),
            decode_head=task.head(cell),
            train_cfg=dict(),
            test_cfg=dict(mode='whole'),
        ),
        train_dataloader=loader(task.train, keys['train'], True),
        val_dataloader=loader(task.val, keys['val'], False),
        val_cfg=dict(type='ValLoop'),
        val_evaluator=copy.deepcopy(task.evaluator),
        optim_wrapper=copy.deepcopy(dict(settings.optim_wrapper)),
        **_training(
            name,
            settings.seed,
            settings.max_iters,
            val_interval=min(settings.val_interval, settings.max_iters),
            log_interval=settings.max_iters,
        ),
    )


def _forget(name: str) -> None:
    """Drop the instances that the toolbox keeps under a run's name for ever."""
    for holder in (MMLogger, MessageHub, Visualizer):
        holder._instance_dict.pop(name, None)
    gc.collect()


def train_cell(
    task: ProxyTask,
    cell: Cell,
    work_dir: str | Path,
    report: Callable[[int, float], None] = lambda iteration, miou: None,
) -> ProxyResult:
    """Train one cell on the cache and score it.

    Args:
        task: The proxy task.
        cell: Any cell.
        work_dir: Where the runner may write.
        report: Called with every score as it comes.

    Returns:
        The score and how it came about.

    Raises:
        ValueError: The cache does not belong to this model.
    """
    start = time.perf_counter()
    name = f'dpc_proxy_{cell.hash}_{os.getpid()}_{time.time_ns()}'
    curve = _Curve(report)
    config = Config(proxy_config(task, cell, str(work_dir), name))
    runner = Runner.from_cfg(config)
    runner.register_hook(curve)
    runner.register_hook(
        EarlyStoppingHook(monitor='mIoU', rule='greater', patience=task.settings.patience)
    )
    try:
        runner.train()
    finally:
        _forget(name)
    return ProxyResult(
        miou=max(score for _, score in curve.scores),
        curve=tuple(curve.scores),
        seconds=time.perf_counter() - start,
    )


def measure_latency(task: ProxyTask, cell: Cell, repeats: int = 15) -> float:
    """Milliseconds of the config's own head on one cached feature: the median of some runs.

    On a CPU with one thread, so that it does not depend on how many workers share the machine.
    """
    device = torch.device(get_device())
    head = MODELS.build(task.head(cell, narrow=False)).to(device).eval()
    x = torch.zeros(1, head.in_channels, *task.feature_size, device=device)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            times = repeated(lambda: head((x,)), repeats, str(device), warmup=3)
    finally:
        torch.set_num_threads(threads)
    return 1e3 * statistics.median(times)


def _pretrained(cfg: Config, settings: ProxySettings) -> str | None:
    """The checkpoint of an end-to-end warm-up of the config's own model; made if missing."""
    if settings.pretrain_iters == 0:
        return None
    start = cfg.get('load_from')
    if start and os.path.isfile(start):
        # Another training may have written another file of this name.
        start = hashlib.sha256(Path(start).read_bytes()).hexdigest()
    plan = dict(
        model=cfg.model,
        train=cfg.train_dataloader,
        optim=cfg.optim_wrapper,
        hooks=cfg.get('custom_hooks'),
        iters=settings.pretrain_iters,
        seed=settings.seed,
        start=start,
    )
    name = f'pretrain-{fingerprint_key(plan)}'
    target = Path(settings.cache_dir) / f'{name}.pth'
    with locked(target.with_suffix('.lock'), 'backbone'):
        if target.exists():
            return str(target)
        if cfg.get('load_from'):
            # Refused here: the runner would take whatever it holds.
            _weights(cfg.load_from, settings.trust_checkpoint)
        run = copy.deepcopy(cfg)
        run.work_dir = str(Path(settings.cache_dir) / name)
        iters = settings.pretrain_iters
        run_name = f'{name}_{os.getpid()}_{time.time_ns()}'
        # One by one: the config's own update would merge dicts.
        for key, value in _training(run_name, settings.seed, iters, iters, 50).items():
            run[key] = value
        for key in ('test_dataloader', 'test_cfg', 'test_evaluator'):
            run.pop(key, None)
        runner = build_runner(run)
        runner.train()
        with replacing(target) as temporary:
            torch.save({'state_dict': trained_model(runner).state_dict()}, temporary)
        _forget(run_name)
    return str(target)


def _weights(checkpoint: str, trust: bool) -> dict[str, Any]:
    """The tensors of a checkpoint, which is a file or a URL."""
    try:
        data = load_checkpoint(checkpoint, trust)
    except ValueError as error:
        raise ValueError(f'{error} (in a search: dpc_search.proxy.trust_checkpoint=True)') from None
    return dict(data.get('state_dict', data))


def _check_encoder(model: Any, weights: Mapping[str, Any], checkpoint: str) -> None:
    """Refuse weights of another network, which would leave the features to random ones."""
    for part in ('backbone', 'neck')[: 1 + model.with_neck]:
        for name, parameter in getattr(model, part).named_parameters(part):
            if getattr(weights.get(name), 'shape', None) != parameter.shape:
                raise ValueError(
                    f'load_from: {checkpoint} holds no {name} of the shape '
                    f'{tuple(parameter.shape)}; expected a checkpoint of a network with this '
                    'encoder. Weights of the encoder alone belong into model.backbone.init_cfg'
                )


def prepare_task(cfg: Config) -> ProxyTask:
    """Pretrain if asked, compute both caches if missing, and return the proxy task.

    Args:
        cfg: A whole training config with a ``dpc_search`` dict; not changed.

    Raises:
        ValueError: The model's decode head is no `DPCHead`, or what
            `build_cache` and `ProxySettings` refuse.
    """
    cfg = copy.deepcopy(cfg)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    settings = ProxySettings.from_config(cfg.dpc_search.get('proxy'))
    head = cfg.model.decode_head
    if type_name(head) != 'DPCHead':
        raise ValueError(
            f"the search needs a model whose decode_head is 'DPCHead', got {type_name(head)!r}"
        )
    checkpoint = _pretrained(cfg, settings) or cfg.get('load_from')
    model_cfg = cfg.model.to_dict()
    replace_sync_bn(model_cfg)  # in one process there is nothing to synchronise
    model_cfg.pop('auxiliary_head', None)
    # Seeded, so that a backbone without a checkpoint is the same one at every start.
    with seeded(settings.seed):
        model = MODELS.build(copy.deepcopy(model_cfg))
        if not checkpoint:
            with warnings_alone():
                model.init_weights()
    if checkpoint:
        weights = _weights(checkpoint, settings.trust_checkpoint)
        _check_encoder(model, weights, checkpoint)
        load_state_dict(model, weights)
    model = model.to(get_device())
    folders = {}
    for part, images, passes in (
        ('train', settings.train_images, settings.passes),
        ('val', settings.val_images, 1),
    ):
        extractor = FeatureExtractor(
            model,
            cfg[f'{part}_dataloader'].dataset.to_dict(),
            in_index=head.get('in_index', -1),
            images=images,
            passes=passes,
            seed=settings.seed,
            label_stride=settings.label_stride,
            dtype=settings.dtype,
            backbone=model_cfg['backbone'],
            preprocessor=model_cfg['data_preprocessor'],
            neck=model_cfg.get('neck'),
        )
        folders[part] = str(build_cache(extractor, settings.cache_dir, part))
    return ProxyTask(
        model=cfg.model.to_dict(),
        evaluator=cfg.to_dict()['val_evaluator'],
        settings=settings,
        imports=cfg.to_dict().get('custom_imports'),
        **folders,
    )
