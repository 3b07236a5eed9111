"""A supernet whose learned weights are in random places: the control for what a search learned."""

from __future__ import annotations

import copy

import torch

from mmseg_sparsemask.connectivity import Connection, Connectivity
from mmseg_sparsemask.connectivity.controls import permuted_places
from mmseg_sparsemask.models.decode_heads import FDNHead


@torch.no_grad()
def permuted_supernet(
    head: FDNHead, pruned: Connectivity, seed: int
) -> tuple[FDNHead, Connectivity]:
    """Permute a supernet's connection weights; see `connectivity.controls.permuted_places`.

    Args:
        head: The supernet, which is not changed.
        pruned: What its own weights leave.
        seed: Seed of the permutation.

    Returns:
        The supernet with permuted weights, and what these leave: as many connections, with nearly
        as many parameters.

    Raises:
        ValueError: The rule for connection weights keeps none by connection, all weights are equal,
            or no permutation has the number of parameters.
    """
    raw = getattr(head.connections, 'raw', None)
    if raw is None or set(raw) != set(head.stages):
        raise ValueError(
            f'{type(head.connections).__name__}: expected a ConnectionRule with a raw weight for '
            'each connection; weights of another rule cannot be permuted'
        )
    weights = head.connection_weights()
    if len(set(weights.values())) == 1:
        raise ValueError(
            f'permuted weights: expected weights that differ, got {len(weights)} that are all '
            f'{next(iter(weights.values())):.4g} ({type(head.connections).__name__}); cut such a '
            'supernet to connections of your choice'
        )
    costs = head.shape.part_costs(head.connectivity)
    places, found = permuted_places(weights, pruned, costs.parameters, seed)
    permuted = copy.deepcopy(head)
    raw = permuted.connections.raw
    old = {
        Connection(source, stage): value.clone()
        for stage, sources in head.stages.items()
        for source, value in zip(sources, raw[stage].data)
    }
    for stage, sources in head.stages.items():
        for index, source in enumerate(sources):
            raw[stage].data[index] = old[places[Connection(source, stage)]]
    return permuted, found
