"""Exactly k inputs a stage, learned with binary draws (MaskConnect)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from mmengine.logging import print_log
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_sparsemask.connectivity import Connectivity
from mmseg_sparsemask.models.connections.connection_rule import ConnectionRule

START = 0.5

# Stands for a weight of 0 under the logarithm: such a connection is drawn only when no other is
# left, and then all of them are equally likely.
_NOTHING = 1e-30


@MODELS.register_module()
class TopKConnections(ConnectionRule):
    """k binary connections a stage (Ahmed and Torresani, "MaskConnect", ECCV 2018).

    Each connection has a real weight in [0, 1]. A training pass draws min(k, n) of a stage's n
    connections without replacement, with probability proportional to the weights, and uses those
    alone, at full strength. The gradient with respect to the binary value of every connection,
    drawn or not, updates its real weight, which is projected to [0, 1] before the next use. In
    evaluation, and when pruning, the k largest stay.

    Args:
        connectivity: The search space.
        k: Inputs of a stage. A stage with fewer allowed sources keeps them all.
        seed: Seed of the draws, which depend on it and on the number of training passes only.

    Raises:
        ValueError: K below 1.
    """

    def __init__(self, connectivity: Connectivity, k: int, seed: int = 0) -> None:
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise ValueError(f'k: expected a whole number of inputs of at least 1, got {k!r}')
        few = [stage for stage, sources in connectivity.stages.items() if len(sources) < k]
        if few:
            print_log(
                f'TopKConnections: fewer than k={k} sources are allowed for {", ".join(few)}; '
                'these stages keep all of them',
                logger='current',
            )
        super().__init__(connectivity, START, seed=seed)
        self.k = k

    def weights_in_pass(self, noise: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
        """Binary weights, min(k, n_l) of a stage's n_l are 1; in evaluation those of `weights`.

        Their gradient goes to the real weights as it is.
        """
        if noise is None:
            return self.weights()
        return {
            stage: _straight_through(_largest(_draw_keys(raw.detach(), noise[stage]), self.k), raw)
            for stage, raw in self.raw.items()
        }

    def weights(self) -> dict[str, Tensor]:
        """1 for the k largest real weights of each stage, 0 for the others: (n_l,).

        Ties go to the source that comes first.
        """
        return {
            stage: _straight_through(_largest(raw.detach(), self.k), raw)
            for stage, raw in self.raw.items()
        }

    def extra_repr(self) -> str:
        """Arguments, for printing."""
        return f'k={self.k}, seed={self.seed}'


def _draw_keys(weights: Tensor, noise: Tensor) -> Tensor:
    """Keys whose k largest are a draw without replacement, in proportion to the weights.

    ``log w`` plus Gumbel noise; the noise is made of standard normal numbers.
    """
    uniform = torch.special.ndtr(noise.double()).clamp(1e-15, 1 - 1e-15)
    return weights.double().clamp_min(_NOTHING).log() - (-uniform.log()).log()


def _largest(keys: Tensor, k: int) -> Tensor:
    order = keys.sort(descending=True, stable=True).indices
    return torch.zeros_like(keys).index_fill_(0, order[:k], 1.0)


def _straight_through(binary: Tensor, raw: Tensor) -> Tensor:
    # raw - raw is 0, unless a weight is not a number: then it stays visible.
    return binary.to(raw.dtype) + (raw - raw.detach())
