"""A search as checkpoints keep it: what pruning needs to know, as data that runs nothing."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_sparsemask.connectivity import to_dict
from mmseg_sparsemask.models.decode_heads import FDNHead
from mmseg_sparsemask.search.pruning import HISTORY_KEY, WeightHistory, find_supernet
from mmseg_sparsemask.search.search_report import SCORES_KEY
from mmseg_sparsemask.utils.checkpoints import load_checkpoint
from mmseg_sparsemask.utils.registered import registered_class, types_in

#: Where a checkpoint's ``meta`` has the description of its search.
SEARCH_KEY = 'sparsemask_search'

#: Settings of the PruneHook that tools/prune.py takes up.
HOOK_SETTINGS = ('threshold', 'merge', 'retrain_config', 'finetune_config')

#: Of a head's config, what training alone needs.
_TRAINING = ('type', 'loss_decode', 'loss_connectivity', 'init_cfg', 'sampler')


@dataclass
class SavedSearch:
    """A supernet's decoder as a checkpoint has it.

    Attributes:
        head: The supernet, without its encoder, in evaluation mode.
        state: State of the whole network, with the supernet under ``decode_head.``.
        meta: Of the checkpoint: ``dataset_meta``, ``iter`` and so on.
        history: Weights up to the checkpoint; empty if PruneHook did not run.
        hook: Settings of the PruneHook of that search; empty if there was none.
        scores: (iteration, name, value) of the validations up to the checkpoint.
    """

    head: FDNHead
    state: dict[str, Tensor]
    meta: dict[str, Any]
    history: WeightHistory
    hook: dict[str, Any]
    scores: list[tuple[int, str, float]]


def describe_search(
    head: FDNHead, config: Mapping[str, Any], hook: Mapping[str, Any]
) -> dict[str, Any]:
    """What `load_search` needs, in plain Python types.

    Args:
        head: The supernet.
        config: What it was built from.
        hook: Settings of the PruneHook.

    Raises:
        TypeError: The config holds more than plain values.
    """
    kept = {key: value for key, value in config.items() if key not in _TRAINING}
    kept['connectivity'] = {key: to_dict(head.connectivity)[key] for key in ('strides', 'stages')}
    return json.loads(json.dumps({'head': kept, 'hook': {k: hook[k] for k in HOOK_SETTINGS}}))


def load_search(
    path: str | os.PathLike[str], config: str | None = None, trust: bool = False
) -> SavedSearch:
    """Read the supernet of a checkpoint. Needs neither data nor the encoder.

    Nothing in the checkpoint is run, unlike the config.

    Args:
        path: Checkpoint of a search.
        config: The search's config file, for a checkpoint that does not describe its search.
        trust: See `utils.checkpoints.load_checkpoint`.

    Raises:
        FileNotFoundError: There is no checkpoint.
        ValueError: Not a checkpoint, no supernet in it, or neither description nor config.
    """
    checkpoint = load_checkpoint(path, trust)
    state = checkpoint.get('state_dict', {})
    prefix = 'decode_head.'
    if not any(key.startswith(f'{prefix}connections.') for key in state):
        raise ValueError(
            f'{path}: holds no supernet (no {prefix}connections.* among its {len(state)} '
            'parameters); expected a checkpoint of a search, that is of a model with an FDNHead'
        )
    meta = checkpoint.get('meta', {})
    if config is not None:
        cfg = Config.fromfile(config)
        head = find_supernet(MODELS.build(cfg.model.decode_head))
        hooks = [hook for hook in cfg.get('custom_hooks', []) if hook.get('type') == 'PruneHook']
        settings = dict(hooks[0]) if hooks else {}
    elif SEARCH_KEY in meta:
        head, settings = _from_description(path, meta[SEARCH_KEY])
    else:
        raise ValueError(
            f'{path}: does not describe its search; give the config of the search with --config '
            '(the work directory holds a copy)'
        )
    own = {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
    try:
        head.load_state_dict(own)
    except RuntimeError as error:
        raise ValueError(f'{path}: does not fit the config: {error}') from None
    info = checkpoint.get('message_hub', {}).get('runtime_info', {})
    history = info.get(HISTORY_KEY, {})
    return SavedSearch(
        head.eval(),
        state,
        meta,
        WeightHistory(list(history.get('steps', [])), list(history.get('weights', []))),
        settings,
        list(info.get(SCORES_KEY, [])),
    )


def _from_description(path: str | os.PathLike[str], data: Any) -> tuple[FDNHead, dict[str, Any]]:
    try:
        settings = copy.deepcopy(data['head'])
        for name in types_in(settings):
            # MMSegmentation would import what it does not know by this name.
            if registered_class(name, MODELS) is None:
                raise ValueError(f'{name!r} is not the name of a registered module')
        if set(_TRAINING) & set(settings):
            raise ValueError(f'expected no {sorted(set(_TRAINING) & set(settings))}')
        return FDNHead(**settings), {k: data['hook'][k] for k in HOOK_SETTINGS}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f'{path}: its description of the search cannot be used ({error}); give the config of '
            'the search with --config'
        ) from None
