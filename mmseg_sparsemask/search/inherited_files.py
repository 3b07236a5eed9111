"""A search's decoder with the weights it was found with: ``pruned.pth`` and ``finetune.py``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor, nn

from mmseg_sparsemask.connectivity import Connectivity
from mmseg_sparsemask.models.decode_heads import FDNHead
from mmseg_sparsemask.models.inheritance import inherited_state
from mmseg_sparsemask.utils.checkpoints import write_checkpoint
from mmseg_sparsemask.utils.derived_config import beside, write_derived_config

#: What finetune.py takes of the retrain config's iterations and learning rate, unless a config of
#: its own says otherwise.
FINETUNE_ITERATIONS = 0.5
FINETUNE_RATE = 0.3

#: Arguments of a scheduler that count iterations or epochs.
_TIMES = ('begin', 'end', 'T_max', 'total_iters', 'milestones', 'step_size')


def write_pruned(
    path: str | os.PathLike[str],
    state: Mapping[str, Tensor],
    head: FDNHead,
    connectivity: Connectivity,
    meta: Mapping[str, Any],
) -> None:
    """Write the whole network with the pruned decoder in place of the supernet.

    The file is a checkpoint like any other for a config with the `SparseMaskHead`: of tensors and
    plain values, on the CPU, without an optimizer.

    Args:
        path: The file, usually ``pruned.pth``.
        state: State of the whole network with the supernet under ``decode_head.``.
        head: The supernet in it.
        connectivity: What is left of it.
        meta: Goes into the checkpoint; ``dataset_meta`` names classes and colours.

    Raises:
        ValueError: The file cannot be written.
    """
    network = {name: value for name, value in state.items() if not name.startswith('decode_head.')}
    inherited = inherited_state(head, connectivity)
    network.update((f'decode_head.{name}', value) for name, value in inherited.items())
    network = {name: value.detach().cpu() for name, value in network.items()}
    write_checkpoint(path, network, meta)


@torch.no_grad()
def largest_difference(head: FDNHead, pruned: nn.Module, size: int = 256) -> float:
    """Largest difference of two decoders' logits on random features, relative to the largest logit.

    Args:
        head: The supernet, in evaluation mode.
        pruned: The decoder that inherits from it, in evaluation mode.
        size: Side of the image that the features would belong to, in pixels.
    """
    generator = torch.Generator().manual_seed(0)
    like = head.conv_seg.weight
    features: list[Tensor | None] = [None] * (max(head.in_index) + 1)
    for index, channels, stride in zip(head.in_index, head.in_channels, head.connectivity.strides):
        side = -(-size // stride)
        feature = torch.randn(2, channels, side, side, generator=generator)
        features[index] = feature.to(device=like.device, dtype=like.dtype)
    expected = head(features)
    difference = (pruned(features) - expected).abs().max() / expected.abs().max()
    return float(difference)


def connectivity_settings(connectivity: Connectivity) -> dict[str, Any]:
    """What fills a connectivity into a config with a `SparseMaskHead`."""
    stages = {stage: list(sources) for stage, sources in connectivity.stages.items()}
    content = {'_delete_': True, 'strides': list(connectivity.strides), 'stages': stages}
    return {'decode_head': {'connectivity': content}}


def write_retrain(
    path: str | os.PathLike[str], connectivity: Connectivity, retrain_config: str
) -> None:
    """Write a config that trains a pruned decoder from scratch, as in the paper.

    Args:
        path: The file, usually ``retrain.py``.
        connectivity: The pruned decoder.
        retrain_config: The config that it inherits.

    Raises:
        ValueError: The file cannot be written.
    """
    settings = {
        'work_dir': beside(path, 'retrain'),
        'model': connectivity_settings(connectivity),
    }
    comment = 'The pruned decoder, to train from scratch. Written at the end of the search.'
    write_derived_config(path, retrain_config, settings, comment)


def write_finetune(
    path: str | os.PathLike[str],
    connectivity: Connectivity,
    retrain_config: str | None,
    finetune_config: str | None = None,
) -> None:
    """Write a config that trains a pruned decoder further, from ``pruned.pth`` beside the file.

    Args:
        path: The file, usually ``finetune.py``.
        connectivity: The pruned decoder.
        retrain_config: Config for training from scratch, whose schedule is shortened.
        finetune_config: Config whose schedule is taken as it is, instead.

    Raises:
        ValueError: The file cannot be written, or the retrain config has no schedule to shorten.
    """
    base = finetune_config or retrain_config
    cfg = Config.fromfile(base)
    settings: dict[str, Any] = {
        'work_dir': beside(path, 'finetune'),
        'load_from': beside(path, 'pruned.pth'),
        # Everything is in pruned.pth: no encoder has to be fetched first.
        'model': {**_without_pretrained(cfg.model), **connectivity_settings(connectivity)},
    }
    schedule = f'the schedule of {os.path.basename(base)}'
    if finetune_config is None:
        settings.update(shortened(cfg, FINETUNE_ITERATIONS, FINETUNE_RATE))
        schedule += (
            f', at {FINETUNE_ITERATIONS:g} of its iterations and {FINETUNE_RATE:g} of its '
            'learning rate'
        )
    comment = f'The pruned decoder, to train further from pruned.pth with {schedule}.'
    write_derived_config(path, base, settings, comment)


def shortened(cfg: Config, iterations: float, rate: float) -> dict[str, Any]:
    """Settings that make a config's schedule shorter and gentler, to merge into it.

    Args:
        cfg: The config; iterations or epochs are in its ``train_cfg``.
        iterations: Factor for their number and for every time in ``param_scheduler``.
        rate: Factor for the learning rate.

    Raises:
        ValueError: The config says neither iterations nor epochs, or no learning rate.
    """
    train = cfg.get('train_cfg') or {}
    unit = next((key for key in ('max_iters', 'max_epochs') if key in train), None)
    optimizer = (cfg.get('optim_wrapper') or {}).get('optimizer') or {}
    if unit is None or 'lr' not in optimizer:
        raise ValueError(
            'expected train_cfg with max_iters or max_epochs and an optimizer with lr, got '
            f'train_cfg = {dict(train)} and the optimizer {dict(optimizer)}; name a config for '
            'fine-tuning in PruneHook(finetune_config=...)'
        )

    def scaled(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [scaled(item) for item in value]
        return max(1, round(value * iterations)) if value else value

    total = scaled(train[unit])
    settings: dict[str, Any] = {
        'train_cfg': {unit: total},
        'optim_wrapper': {'optimizer': {'lr': optimizer['lr'] * rate}},
    }
    if train.get('val_interval'):
        settings['train_cfg']['val_interval'] = min(train['val_interval'], total)
    schedulers = cfg.get('param_scheduler')
    if schedulers:
        settings['param_scheduler'] = [
            {key: scaled(value) if key in _TIMES else value for key, value in scheduler.items()}
            for scheduler in (schedulers if isinstance(schedulers, list) else [schedulers])
        ]
    return settings


def _without_pretrained(model: Any) -> dict[str, Any]:
    """Settings that take every ``init_cfg`` with pretrained weights out of a model's config."""
    found: dict[str, Any] = {}
    for key, value in model.items() if isinstance(model, dict) else ():
        if key == 'init_cfg' and isinstance(value, dict) and value.get('type') == 'Pretrained':
            found[key] = None
        elif inner := _without_pretrained(value):
            found[key] = inner
    return found
