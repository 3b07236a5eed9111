"""The configs that a search writes: ``retrain.py`` and ``finetune.py``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_sparsemask.connectivity import GLOBAL, Connectivity
from mmseg_sparsemask.connectivity.graph import encoder_name
from mmseg_sparsemask.models.decode_heads import FDNHead
from mmseg_sparsemask.models.inheritance import inherited_state
from mmseg_sparsemask.search.record import PruneSettings
from mmseg_sparsemask.search.schedule import shortened
from mmseg_sparsemask.utils.derived_config import Beside, write_derived_config
from mmseg_sparsemask.utils.read_config import decode_head_of
from mmseg_sparsemask.utils.registered import type_name

#: What finetune.py takes of the retrain config's iterations and learning rate, unless a config of
#: its own says otherwise.
FINETUNE_ITERATIONS, FINETUNE_RATE = 0.5, 0.3


def write_retrain(
    path: str | os.PathLike[str], connectivity: Connectivity, settings: PruneSettings
) -> None:
    """Write a config that trains a pruned decoder from scratch, as in the paper.

    Args:
        path: The file, usually ``retrain.py``.
        connectivity: The pruned decoder.
        settings: With the ``retrain_config`` that it inherits.

    Raises:
        ValueError: The file cannot be written.
    """
    comment = 'The pruned decoder, to train from scratch. Written at the end of the search.'
    cfg = Config.fromfile(settings.retrain_config)
    content = {'work_dir': Beside('retrain'), **_decoder(cfg, connectivity)}
    _write(path, settings.retrain_config or '', content, comment)


def write_finetune(
    path: str | os.PathLike[str],
    head: FDNHead,
    connectivity: Connectivity,
    settings: PruneSettings,
) -> None:
    """Write a config that trains a pruned decoder further, from ``pruned.pth`` beside the file.

    Args:
        path: The file, usually ``finetune.py``.
        head: The supernet, whose weights are in ``pruned.pth``.
        connectivity: What is left of it.
        settings: With the ``finetune_config`` that it inherits, or else the ``retrain_config``,
            whose schedule is shortened.

    Raises:
        ValueError: The file cannot be written, or the schedule cannot be shortened.
    """
    base = settings.finetune_config or settings.retrain_config or ''
    cfg = Config.fromfile(base)
    content: dict[str, Any] = {'work_dir': Beside('finetune'), 'load_from': Beside('pruned.pth')}
    content |= _decoder(cfg, connectivity)
    # Everything is in pruned.pth: no encoder has to be fetched first.
    content['model'] = {**_without_pretrained(cfg.model), **content['model']}
    content['model']['decode_head'] |= _as_searched(head, cfg.model.decode_head)
    if cfg.get('resume'):
        # For the toolbox that is to go on with what load_from names, which no run has left.
        content['resume'] = False
    schedule = f'the schedule of {os.path.basename(base)}'
    if settings.finetune_config is None:
        content |= shortened(cfg, FINETUNE_ITERATIONS, FINETUNE_RATE)
        schedule += (
            f', at {FINETUNE_ITERATIONS:g} of its iterations and {FINETUNE_RATE:g} of its '
            'learning rate'
        )
    comment = f'The pruned decoder, to train further from pruned.pth with {schedule}.'
    _write(path, base, content, comment)


def check_configs(head: FDNHead, settings: PruneSettings, out_dir: str | os.PathLike[str]) -> None:
    """Make sure that the configs can be written at the end, by writing and reading them now.

    Args:
        head: The supernet; its whole search space stands for what will be left of it.
        settings: They name the configs to inherit.
        out_dir: The folder in which they will be written.

    Raises:
        ValueError: A config does not exist or cannot be used; the message says which, and why.
    """
    for name in ('retrain_config', 'finetune_config'):
        config = getattr(settings, name)
        if config is not None and not os.path.isfile(config):
            raise ValueError(
                f'{name}: {config} does not exist; name a config file, in a config as '
                "'{{ fileDirname }}/NAME.py'"
            )
    files = {}
    if settings.retrain_config:
        files['retrain.py'] = ('retrain_config', write_retrain)
    if settings.finetune_config or settings.retrain_config:
        name = 'finetune_config' if settings.finetune_config else 'retrain_config'
        files['finetune.py'] = (name, partial(write_finetune, head=head))
    with TemporaryDirectory(prefix='.check', dir=out_dir) as folder:
        for file, (name, write) in files.items():
            try:
                write(Path(folder) / file, connectivity=head.connectivity, settings=settings)
                cfg = Config.fromfile(Path(folder) / file)
                with torch.device('meta'):
                    built = MODELS.build(cfg.model.decode_head)
                if file == 'finetune.py':
                    _check_fits(built, inherited_state(head, head.connectivity))
            except Exception as error:  # a config is a program: whatever it may do
                reason = ' '.join(str(error).split()) or type(error).__name__
                raise ValueError(
                    f'{name}: {getattr(settings, name)} cannot be used for {file} at the end of '
                    f'the search: {reason}'
                ) from error


def _check_fits(built: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Make sure that a decoder is what inherits this state."""
    parameters = dict(built.named_parameters())
    wrong = [n for n, p in parameters.items() if n not in state or state[n].shape != p.shape]
    wrong += sorted(set(state) - set(built.state_dict()))
    if wrong:
        raise ValueError(
            'its decoder is another than that of the search, so pruned.pth would not fit '
            f'({wrong[0]}); give both the same settings, or name another config in finetune_config'
        )


def _write(
    path: str | os.PathLike[str], base: str, content: Mapping[str, Any], comment: str
) -> None:
    # What is inherited from a pure-Python config can only be read in a pure-Python config.
    write_derived_config(path, base, content, comment, Config._is_lazy_import(base))


def _decoder(cfg: Config, connectivity: Connectivity) -> dict[str, Any]:
    """What fills a connectivity into a config with a `SparseMaskHead`."""
    head = decode_head_of(cfg)
    stages = {stage: list(sources) for stage, sources in connectivity.stages.items()}
    graph: dict[str, Any] = {'strides': list(connectivity.strides), 'stages': stages}
    if 'connectivity' in head:
        # Only then MMEngine takes the word out again.
        graph = {'_delete_': True, **graph}
    content: dict[str, Any] = {'model': {'decode_head': {'connectivity': graph}}}
    if leaves_end_unused(connectivity):
        unused = {'find_unused_parameters': True}
        content |= {'model_wrapper_cfg': unused} if cfg.get('model_wrapper_cfg') else unused
    return content


def _as_searched(head: FDNHead, given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without which the weights of a search compute something else.

    Retrained, a decoder may be wider, or have another activation.

    Args:
        head: The supernet.
        given: The decode head of the config to inherit.
    """
    same = ('channels', 'act_encoder', 'align_corners', 'threshold')
    found = {name: getattr(head, name) for name in same if getattr(head, name) is not None}
    act, norm = given.get('act_cfg'), given.get('norm_cfg') or {'type': 'BN'}
    searched = {**head.act_cfg, 'type': type_name(head.act_cfg)}
    if searched != ({**act, 'type': type_name(act)} if act else {'type': 'ReLU6'}):
        found['act_cfg'] = {'_delete_': True, **searched} if act else searched
    eps = [one.get('eps', 1e-5) for one in (head.norm_cfg, norm)]
    if eps[0] != eps[1]:
        found['norm_cfg'] = {'type': type_name(norm), 'eps': eps[0]}
    return found


def leaves_end_unused(connectivity: Connectivity) -> bool:
    """Whether a decoder takes nothing from the end of the encoder, whose last layers learn nothing.

    Several processes then wait for gradients that never come, unless they are told.
    """
    return not {GLOBAL, encoder_name(connectivity.num_levels)} & set(connectivity.sources())


def _without_pretrained(model: Any) -> dict[str, Any]:
    """Settings that take everything that names pretrained weights out of a model's config."""
    found: dict[str, Any] = {}
    for key, value in model.items() if isinstance(model, Mapping) else ():
        if key == 'init_cfg' and isinstance(value, Mapping) and 'Pretrained' in type_name(value):
            found[key] = None
        elif key == 'pretrained' and value:
            found[key] = False if value is True else None
        elif inner := _without_pretrained(value):
            found[key] = inner
    return found
