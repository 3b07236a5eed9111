"""Pretrained weights that a config fetches: what to do where there is no network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.error import URLError
from urllib.parse import urlparse

import torch
from mmengine.config import Config
from mmengine.runner.checkpoint import (
    get_external_models,
    get_mmcls_models,
    get_torchvision_models,
)

#: Addresses by name, for each prefix of a name that MMEngine knows.
_ZOOS = {
    'mmcls': get_mmcls_models,
    'open-mmlab': get_external_models,
    'openmmlab': get_external_models,
    'torchvision': get_torchvision_models,
}


@contextmanager
def explained_downloads(cfg: Config) -> Iterator[None]:
    """Context of a run that may fetch weights; a failing download says what helps.

    Args:
        cfg: The whole config.

    Raises:
        ConnectionError: In place of an error of the network. It names each address that the model
            is initialised from and that was not fetched before, the file in which it is looked
            for first, and the setting that does without.
    """
    try:
        yield
    except URLError as error:
        wanted = [
            f'{key}: put {address} at {cached_file(address)}, or start from random weights with '
            f'--cfg-options {key}=None'
            for key, address in addresses(cfg.get('model') or {}, 'model')
            if not os.path.exists(cached_file(address))
        ]
        remedy = '; '.join(wanted) or 'the address is not in the config'
        raise ConnectionError(
            f'pretrained weights cannot be downloaded ({error.reason}). {remedy}. See "Working '
            'offline" in docs/data.md'
        ) from None


def addresses(settings: Any, key: str) -> Iterator[tuple[str, str]]:
    """(key of ``init_cfg`` or ``pretrained``, address) of all weights that a part is to fetch."""
    if isinstance(settings, dict):
        start = settings.get('init_cfg')
        named = {'init_cfg': start.get('checkpoint') if isinstance(start, dict) else None}
        for name, value in {**named, 'pretrained': settings.get('pretrained')}.items():
            if address := _address(value):
                yield f'{key}.{name}', address
        for name, value in settings.items():
            yield from addresses(value, f'{key}.{name}')
    elif isinstance(settings, (list, tuple)):
        for place, value in enumerate(settings):
            yield from addresses(value, f'{key}.{place}')


def cached_file(address: str) -> str:
    """Where torch keeps what it has fetched from an address."""
    name = os.path.basename(urlparse(address).path)
    return os.path.join(torch.hub.get_dir(), 'checkpoints', name)


def _address(value: Any) -> str | None:
    """Where weights are fetched from, also those that a model zoo knows by name."""
    scheme, separator, name = value.partition('://') if isinstance(value, str) else ('', '', '')
    if separator and scheme in _ZOOS:
        scheme, separator, _ = (value := str(_ZOOS[scheme]().get(name))).partition('://')
    return str(value) if separator and scheme in ('http', 'https') else None
