"""Connections of which each pass trains some: a supernet that is made to be cut."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_sparsemask.connectivity import Connectivity
from mmseg_sparsemask.connectivity.graph import level_of
from mmseg_sparsemask.connectivity.prune import drop_unreachable
from mmseg_sparsemask.models.connections.connection_rule import ConnectionRule
from mmseg_sparsemask.models.connections.counter_noise import counter_noise


@MODELS.register_module()
class SampledConnections(ConnectionRule):
    """All connections at full strength, of which each training pass takes a random part.

    Every part of the supernet then works without training of its own, as in "Once for all" (Cai et
    al., ICLR 2020). The sizes come from the sandwich rule (BigNAS, Yu et al., ECCV 2020): in every
    `full_every`-th pass, and in the first, the full network is trained; else

    1. an end is drawn among the stages that may be one, and a share between 0 and 1;
    2. each connection stays with this share as its probability, and what does not reach the end
       goes. If nothing does, the share grows until something does.

    Nothing is learned by these weights: they need no loss, no threshold and no learning rate. In
    evaluation, and when pruning, all connections are there with weight 1.

    What takes no part in a pass gets no gradient: in several processes this needs
    ``find_unused_parameters=True``. A compiled step is compiled anew for each graph.

    Args:
        connectivity: The search space.
        full_every: Passes from one of the full network to the next.
        end_stride: Largest stride of a stage that a decoder may end at; the search space's own end
            may always be one.
        seed: Seed of the draws, which depend on it and on the number of training passes only.

    Raises:
        ValueError: `full_every` or `end_stride` below 1.
    """

    def __init__(
        self, connectivity: Connectivity, full_every: int = 4, end_stride: int = 8, seed: int = 0
    ) -> None:
        for name, value in (('full_every', full_every), ('end_stride', end_stride)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f'{name}: expected a whole number of at least 1, got {value!r}')
        super().__init__(connectivity, 1.0, seed=seed)
        self.raw.requires_grad_(False)
        self.connectivity = connectivity
        self.full_every, self.end_stride = full_every, end_stride
        self.ends = [
            stage
            for stage in connectivity.stages
            if stage == connectivity.end or (connectivity.stride_of(stage) or 0) <= end_stride
        ]

    def subset(self) -> Connectivity | None:
        """What the coming training pass takes; None for all."""
        step = int(self.step)
        if step % self.full_every == 0:
            return None
        connections = self.connectivity.connections
        # Its numbers are others than those of the passes: they belong to no connection.
        normal = counter_noise(len(connections) + 2, self.seed + 1, self.step)
        uniform = torch.special.ndtr(normal.double()).tolist()
        share, place = uniform[-2], min(int(uniform[-1] * len(self.ends)), len(self.ends) - 1)
        end = self.ends[place]
        drawn = dict(zip(connections, uniform))
        allowed = [c for c in connections if level_of(c.stage) >= level_of(end)]
        order = sorted(allowed, key=lambda c: drawn[c])
        count = sum(drawn[c] < share for c in order)
        while not (kept := drop_unreachable(order[:count], end)):
            count += 1
        return Connectivity.from_connections(self.connectivity.strides, kept)

    def weights_in_pass(self, noise: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
        """1 for every connection."""
        return self.weights()

    def weights(self) -> dict[str, Tensor]:
        """1 for every connection: (n_l,)."""
        return dict(self.raw.items())

    def extra_repr(self) -> str:
        """Arguments, for printing."""
        return f'full_every={self.full_every}, end_stride={self.end_stride}, seed={self.seed}'
