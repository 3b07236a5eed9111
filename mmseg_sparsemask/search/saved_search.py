"""A search as checkpoints keep it: what pruning needs to know, as data that runs nothing."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from mmseg.registry import MODELS
from torch import nn

from mmseg_sparsemask.connectivity import to_dict
from mmseg_sparsemask.models.allowed import LEFT_OUT, check_head
from mmseg_sparsemask.models.decode_heads import FDNHead
from mmseg_sparsemask.models.losses.build import budget_losses
from mmseg_sparsemask.search.record import SCORES_KEY, PruneSettings, Search, WeightHistory
from mmseg_sparsemask.search.supernet import find_supernet
from mmseg_sparsemask.utils.checkpoints import load_checkpoint
from mmseg_sparsemask.utils.read_config import heads_of, read_config
from mmseg_sparsemask.utils.registered import type_name

#: Where a checkpoint's ``meta`` has the description of its search.
SEARCH_KEY = 'sparsemask_search'

#: Settings that name a config, and this project's configs.
_CONFIGS = ('retrain_config', 'finetune_config')
_OWN = Path(__file__).parents[1] / '.mim/configs'

#: Attributes of a supernet that its description holds.
HEAD_SETTINGS = (
    'in_channels in_index channels num_classes out_channels threshold norm_cfg act_cfg '
    'align_corners act_encoder dropout_ratio'
).split()


def describe_search(head: FDNHead, settings: PruneSettings) -> dict[str, Any]:
    """What `read_search` needs, in plain Python types.

    Args:
        head: The supernet.
        settings: How it will be pruned.

    Raises:
        TypeError: The rule for the connection weights was given more than plain values.
    """
    graph = to_dict(head.connectivity)
    data = {
        **{name: getattr(head, name) for name in HEAD_SETTINGS if hasattr(head, name)},
        'strides': graph['strides'],
        'connectivity': {key: graph[key] for key in ('strides', 'stages')},
        'connections': {**head.connections_cfg, 'type': type_name(head.connections_cfg)},
    }
    budgets = [loss.budget_as_data() for loss in budget_losses(head.loss_connectivity)]
    described = {'head': data, 'budgets': budgets, 'hook': asdict(settings)}
    return dict(json.loads(json.dumps(described)))


def read_search(
    path: str | os.PathLike[str],
    config: str | None = None,
    trust: bool = False,
    **given: Any,
) -> Search:
    """Read the search of a checkpoint. Needs neither data nor the encoder.

    Nothing in the checkpoint is run, unlike the config. Configs that the checkpoint names would be
    run later: they have to be this project's own.

    Args:
        path: Checkpoint of a search.
        config: The search's config file, for a checkpoint that does not describe its search.
        trust: Take any config that the checkpoint names; and see
            `utils.checkpoints.load_checkpoint`.
        **given: Of `PruneSettings`, in place of those that were saved.

    Raises:
        FileNotFoundError: There is no checkpoint.
        ValueError: Not a checkpoint, no supernet in it, neither description nor config, or a config
            is named that is not this project's.
    """
    checkpoint = load_checkpoint(path, trust)
    state, meta = (checkpoint.get(key, {}) for key in ('state_dict', 'meta'))
    found = [re.match(r'((?:.*\.)?)connections\.', key) for key in state]
    prefixes = [match[1] for match in found if match and f'{match[1]}conv_seg.weight' in state]
    if not prefixes:
        raise ValueError(
            f'{path}: holds no supernet (no decode_head.connections.* among its {len(state)} '
            'parameters); expected a checkpoint of a search, that is of a model with an FDNHead'
        )
    if config is not None:
        head, settings = _from_config(config)
    elif SEARCH_KEY not in meta:
        raise ValueError(
            f'{path}: does not describe its search; give the config of the search with --config '
            '(the work directory holds a copy)'
        )
    else:
        try:
            head, settings = described_search(meta[SEARCH_KEY])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f'{path}: its description of the search cannot be used ({error}); give the config '
                'of the search with --config'
            ) from None
        if not trust:
            own: dict[str, Any] = {
                n: _own_config(path, n, getattr(settings, n)) for n in _CONFIGS if n not in given
            }
            settings = replace(settings, **own)
    settings = replace(settings, **given)
    _load(head, state, prefixes[0], path)
    name = os.path.basename(path)
    try:
        info = checkpoint.get('message_hub', {}).get('runtime_info') or {}
        return Search(
            head=head.eval(),
            state=state,
            prefix=prefixes[0],
            title=name,
            meta={'checkpoint': name, 'iteration': int(meta.get('iter', 0))},
            dataset_meta=meta.get('dataset_meta'),
            history=WeightHistory.of(info),
            scores=[(int(step), str(key), float(v)) for step, key, v in info.get(SCORES_KEY, ())],
            settings=settings,
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f'{path}: its record of the search cannot be used ({error})') from None


def _settings(hook: Mapping[str, Any]) -> PruneSettings:
    return PruneSettings(**{f.name: hook[f.name] for f in fields(PruneSettings) if f.name in hook})


def _from_config(config: str) -> tuple[FDNHead, PruneSettings]:
    cfg = read_config(config)
    hooks = [
        hook for hook in cfg.get('custom_hooks') or () if type_name(hook).endswith('PruneHook')
    ]
    head = find_supernet(nn.ModuleList(MODELS.build(head) for _, head in heads_of(cfg.model)))
    return head, _settings(hooks[0] if hooks else {})


def _own_config(path: Any, name: str, named: Any) -> str | None:
    """This project's config of the name that a checkpoint gives, wherever it was there."""
    if named is None:
        return None
    parts = Path(str(named)).parts
    for place in (place for place, part in enumerate(parts) if part == 'configs'):
        config = _OWN.joinpath(*parts[place + 1 :]).resolve()
        if config.is_file() and config.is_relative_to(_OWN.resolve()):
            return str(config)
    option = f'--{name.replace("_", "-")}'
    raise ValueError(
        f'{path}: names {named!r:.200} as {name}. It is none of the configs of this project, and a '
        f'config is a program: read it, then give it with {option}, or give --trust-checkpoint'
    )


def described_search(data: Mapping[str, Any]) -> tuple[FDNHead, PruneSettings]:
    """The supernet, without weights, and the settings of what `describe_search` gives.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: It is something else, or names anything
            but a supernet of plain settings and a registered `ConnectionRule`.
    """
    head = {key: value for key, value in data['head'].items() if key not in LEFT_OUT}
    check_head({**head, 'type': 'FDNHead'}, 'head')
    budgets = [dict(budget) for budget in data.get('budgets', ())]
    if any(isinstance(budget.get('table', {}), str) for budget in budgets):
        raise ValueError('budgets: expected the content of a latency table, got a path')
    losses = [{'type': 'BudgetLoss', 'budget': budget} for budget in budgets]
    return FDNHead(**head, loss_connectivity=losses or None), _settings(data['hook'])


def _load(head: FDNHead, state: Mapping[str, Any], prefix: str, path: Any) -> None:
    own = {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
    try:
        found = head.load_state_dict(own, strict=False)
    except RuntimeError as error:
        raise ValueError(f'{path}: does not fit the config: {error}') from None
    # What the losses have counted does not matter any more.
    wrong = [key for keys in found for key in keys if not key.startswith('loss_connectivity.')]
    if wrong:
        raise ValueError(f'{path}: does not fit the config: {", ".join(wrong)} in one of them only')
