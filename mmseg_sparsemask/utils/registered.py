"""Names of classes in configs, and what they stand for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def types_in(node: Any) -> Iterator[Any]:
    """Every value of a key ``type`` in nested mappings and lists."""
    if isinstance(node, Mapping):
        if 'type' in node:
            yield node['type']
        for child in node.values():
            yield from types_in(child)
    elif isinstance(node, (list, tuple)):
        for child in node:
            yield from types_in(child)


def replace_sync_bn(node: Any) -> int:
    """Turn synchronised normalisations into ``type='BN'`` in nested settings; return how many."""
    replaced = 0
    if isinstance(node, dict):
        if type_name(node) in ('SyncBN', 'MMSyncBN', 'SyncBatchNorm'):
            node['type'] = 'BN'
            replaced = 1
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        replaced += sum(map(replace_sync_bn, node))
    return replaced


def type_name(settings: Mapping[str, Any]) -> str:
    """The ``type`` of a part of a config by name; pure-Python configs have classes there."""
    kind = settings.get('type')
    return str(getattr(kind, '__name__', kind))


def registered_class(name: Any, registry: Any) -> type | None:
    """What a name stands for in a registry, its parents and its relatives; None if in none.

    MMEngine's own look-up imports what it does not know by that name, whatever it is; this one
    imports nothing.

    Args:
        name: ``'ResNet'``, or with a scope ``'mmpretrain.ResNet'``.
        registry: Registry of MMEngine.
    """
    if not isinstance(name, str):
        return None
    scope, _, short = name.rpartition('.')
    if scope:
        root = registry
        while root.parent is not None:
            root = root.parent
        registry, name = root._search_child(scope), short
    while registry is not None:
        if name in registry.module_dict:
            return registry.module_dict[name]
        registry = registry.parent
    return None
