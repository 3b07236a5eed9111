"""What every rule for connection weights has in common."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mmseg_sparsemask.connectivity import Connectivity
from mmseg_sparsemask.connectivity.graph import level_of
from mmseg_sparsemask.models.connections.counter_noise import counter_noise
from mmseg_sparsemask.models.run_state import belongs_to_run


class ConnectionRule(nn.Module):
    """Holds a raw weight for each connection; a subclass says in two methods what it means.

    `weights_in_pass` gives the numbers that scale the connections in a forward pass, and `weights`
    those in [0, 1] that loss, log and pruning see.

    Raw weights live in [0, max_weight]. They are projected there before each training pass, in the
    module itself, so that correctness depends on no hook. A raw weight that is infinite or no
    number becomes no number: it is reported when the search is pruned, not hidden by the bounds.

    Args:
        connectivity: The search space.
        start: Raw weight of every connection at first.
        max_weight: Upper end of the raw weights.
        seed: Seed of the noise, which depends on it and on the number of training passes only.
    """

    step: Tensor

    def __init__(
        self, connectivity: Connectivity, start: float, max_weight: float = 1.0, seed: int = 0
    ) -> None:
        super().__init__()
        self.max_weight = max_weight
        self.seed = seed
        #: By stage: (n_l,), the sources in the order of `Connectivity.stages`.
        self.raw = nn.ParameterDict()
        # One by one and by level: from a dict they would be sorted by name, D10 before D2.
        for stage in sorted(connectivity.stages, key=level_of):
            self.raw[stage] = nn.Parameter(torch.full((len(connectivity.stages[stage]),), start))
        self.register_buffer('step', torch.zeros((), dtype=torch.int64))
        belongs_to_run(self, 'step')

    def subset(self) -> Connectivity | None:
        """The part of the search space that the coming training pass takes; None for all of it."""
        return None

    def weights_in_pass(self, noise: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
        """What scales the connections, by stage, with gradient: (n_l,).

        Args:
            noise: In training, standard normal numbers for each stage: (n_l,), other ones in each
                pass. In evaluation None.
        """
        raise NotImplementedError

    def weights(self) -> dict[str, Tensor]:
        """Connection weights in [0, 1] by stage, without noise, with gradient: (n_l,)."""
        raise NotImplementedError

    def forward(self) -> dict[str, Tensor]:
        """What scales the connections in this pass, by stage: (n_l,)."""
        if not self.training:
            return self.weights_in_pass(None)
        self._project()
        counts = [len(raw) for raw in self.raw.values()]
        noise = counter_noise(sum(counts), self.seed, self.step).split(counts)
        # In place: assigning a buffer anew would break a compiled graph.
        self.step.add_(1)
        return self.weights_in_pass(dict(zip(self.raw, noise)))

    @torch.no_grad()
    def _project(self) -> None:
        for raw in self.raw.values():
            raw.copy_(finite_or_nan(raw).clamp(0, self.max_weight))


def finite_or_nan(value: Tensor) -> Tensor:
    """The same numbers, with NaN in place of infinite ones."""
    return value + (value - value)
