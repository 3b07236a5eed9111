"""What a search config may say, checked before anything starts."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseg_sparsemask.dpc.samplers import build_sampler
from mmseg_sparsemask.dpc.space import SearchSpace
from mmseg_sparsemask.utils.checks import check_keys, check_whole

#: What may be optimised, and which way.
OBJECTIVES = {
    'miou': 'maximize',
    'parameters': 'minimize',
    'multiply_adds': 'minimize',
    'latency': 'minimize',
}


@dataclass(frozen=True)
class ProxySettings:
    """The ``proxy`` dict of a search config.

    Args:
        cache_dir: Folder of the feature caches, shared by all workers and ideally by all machines.
        max_iters: Iterations a cell is trained.
        val_interval: Iterations between two scores.
        patience: Scores without improvement after which a training ends.
        batch_size: Features per iteration.
        filters: Output channels of a branch and of the projection; the head's own if None.
            Narrower ones make the proxy cheaper.
        optim_wrapper: Optimiser, in the toolbox's form; the learning rate decays polynomially.
        train_images: Cache only this many images to train on; all if None.
        val_images: The same for the held-out part.
        passes: How often the training set is cached, each time with other random augmentation.
        label_stride: Labels are kept at the image's size over this.
        dtype: Type of the cached features, ``float16`` or ``float32``.
        seed: Seed of the augmentation and of every training.
        pretrain_iters: Before caching, train the config's own model end to end for this many
            iterations (where no pretrained backbone exists); 0 takes the backbone as it is
            initialised, with its ``init_cfg`` or ``load_from``.
        trust_checkpoint: Whether ``load_from`` may hold objects, whose reading can run any code.

    Raises:
        ValueError: A number out of range.
    """

    cache_dir: str = 'work_dirs/dpc_cache'
    max_iters: int = 1000
    val_interval: int = 250
    patience: int = 3
    batch_size: int = 8
    filters: int | None = None
    optim_wrapper: Mapping[str, Any] = field(
        default_factory=lambda: dict(
            type='OptimWrapper',
            optimizer=dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=4e-5),
        )
    )
    train_images: int | None = None
    val_images: int | None = None
    passes: int = 1
    label_stride: int = 4
    dtype: str = 'float16'
    seed: int = 0
    pretrain_iters: int = 0
    trust_checkpoint: bool = False

    def __post_init__(self) -> None:
        counts = ('max_iters', 'val_interval', 'patience', 'batch_size', 'passes')
        check_whole(1, **{f'proxy.{name}': getattr(self, name) for name in counts})
        check_whole(0, **{'proxy.pretrain_iters': self.pretrain_iters})

    @classmethod
    def from_config(cls, config: Mapping[str, Any] | None) -> ProxySettings:
        """Build from a config dict; unknown keys are an error."""
        config = dict(config or {})
        check_keys(config, {f.name for f in fields(cls)}, 'proxy')
        return cls(**copy.deepcopy(config))


@dataclass(frozen=True)
class SearchSettings:
    """The ``dpc_search`` dict of a config, but for its ``proxy`` part.

    Args:
        space: What to search.
        sampler: See `build_sampler`.
        objectives: ``miou``, then any of ``parameters``, ``multiply_adds``, ``latency``.
        constraints: Upper bounds of ``parameters``, ``multiply_adds`` or ``latency`` (in
            milliseconds).
        seed: Seed of the draws.
        retrain: The config that the best cell is filled into, an absolute path; None for none.
        heartbeat: Seconds between two signs of life of a trial.
        grace: Seconds without one after which a trial is run again by another worker.

    Raises:
        ValueError: An unknown objective, bound or sampler, or a grace not above the heartbeat.
    """

    space: SearchSpace = field(default_factory=SearchSpace)
    sampler: Mapping[str, Any] = field(default_factory=dict)
    objectives: tuple[str, ...] = ('miou',)
    constraints: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    retrain: str | None = None
    heartbeat: int = 10
    grace: int = 30

    def __post_init__(self) -> None:
        if not self.objectives or self.objectives[0] != 'miou':
            raise ValueError(f"objectives must start with 'miou', got {list(self.objectives)}")
        unknown = set(self.objectives) - set(OBJECTIVES)
        if unknown or len(set(self.objectives)) != len(self.objectives):
            raise ValueError(
                f'objectives must be different ones of {sorted(OBJECTIVES)}, '
                f'got {list(self.objectives)}'
            )
        unknown = set(self.constraints) - (set(OBJECTIVES) - {'miou'})
        if unknown:
            raise ValueError(
                'constraints may bound parameters, multiply_adds and latency, got '
                f'{sorted(unknown)}'
            )
        if not 1 <= self.heartbeat < self.grace:
            raise ValueError(
                'grace must be larger than heartbeat, and that at least 1 s, got '
                f'{self.grace} and {self.heartbeat}'
            )
        build_sampler(self.sampler, self.space, self.seed)

    @classmethod
    def from_config(cls, cfg: Config) -> SearchSettings:
        """Read the ``dpc_search`` dict of a config.

        Raises:
            ValueError: There is none, an unknown key, or a bad value.
        """
        if 'dpc_search' not in cfg:
            raise ValueError(
                f'{cfg.filename} has no dpc_search; see configs/dpc/search_*.py for search configs'
            )
        config = cfg.to_dict()['dpc_search']
        check_keys(config, {f.name for f in fields(cls)} | {'proxy'}, 'dpc_search')
        config.pop('proxy', None)
        if config.get('retrain') is not None:
            # A path in a config is relative to that config.
            retrain = (Path(cfg.filename).parent / config['retrain']).resolve()
            if not retrain.exists():
                raise ValueError(f'dpc_search.retrain: there is no {retrain}')
            config['retrain'] = str(retrain)
        config['space'] = SearchSpace.from_config(config.get('space'))
        config['sampler'] = config.get('sampler') or {}
        config['objectives'] = tuple(config.get('objectives', cls.objectives))
        config['constraints'] = config.get('constraints') or {}
        return cls(**config)

    @property
    def directions(self) -> list[str]:
        """Optuna's directions of the objectives."""
        return [OBJECTIVES[name] for name in self.objectives]
