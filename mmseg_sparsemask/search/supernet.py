"""The supernet of a model: where it is, and what pruning it now would give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mmengine.model import is_model_wrapper
from torch import nn

from mmseg_sparsemask.connectivity import Connection, prune
from mmseg_sparsemask.connectivity.prune import drop_unreachable, keep_above, separation
from mmseg_sparsemask.models.decode_heads import FDNHead


def supernet_name(model: nn.Module) -> str:
    """Where the FDNHead of a model is, such as ``decode_head``; empty if it is the model itself.

    Raises:
        ValueError: There is none.
    """
    for name, module in model.named_modules():
        if isinstance(module, FDNHead):
            return name
    inner = model.module if is_model_wrapper(model) else model
    head = type(getattr(inner, 'decode_head', inner)).__name__
    raise ValueError(
        f"nothing to prune: expected a model whose decode_head is of type 'FDNHead', got {head}"
    )


def find_supernet(model: nn.Module) -> FDNHead:
    """The FDNHead of a model.

    Raises:
        ValueError: There is none.
    """
    head: FDNHead = model.get_submodule(supernet_name(model))  # type: ignore[assignment]
    return head


@dataclass(frozen=True)
class PruneStatus:
    """What pruning now would give.

    Attributes:
        live: Connections left after thresholding and reachability.
        total: Connections of the supernet.
        largest_dropped: Largest weight below the threshold.
        smallest_kept: Smallest weight above it.
        parameters: Decoder parameters left; 0 when no connection reaches the end.
    """

    live: int
    total: int
    largest_dropped: float
    smallest_kept: float
    parameters: int

    def separated(self, factor: float) -> bool:
        """Whether the smallest kept weight is at least `factor` times the largest dropped one.

        Never when nothing is dropped, or nothing would be left.
        """
        return 0 < self.live < self.total and self.smallest_kept >= factor * self.largest_dropped

    def gap(self) -> str:
        """The weights on both sides of the threshold, in words."""
        return (
            f'largest dropped weight {self.largest_dropped:.2g}, '
            f'smallest kept {self.smallest_kept:.2g}'
        )


def prune_status(
    head: FDNHead,
    threshold: float,
    merge: bool,
    weights: Mapping[Connection, float] | None = None,
) -> PruneStatus:
    """What pruning a supernet now would give, budgets aside.

    Args:
        head: The supernet.
        threshold: On the connection weights, in (0, 1).
        merge: See `connectivity.prune.prune`.
        weights: Weights of another moment of the search, instead of the present ones.

    Raises:
        ValueError: A weight is not a number, or the threshold is not in (0, 1).
    """
    if weights is None:
        weights = head.connection_weights()
    dropped, kept = separation(weights, threshold)
    live = len(drop_unreachable(keep_above(weights, threshold), head.connectivity.end))
    parameters = 0
    if live:
        connectivity = prune(weights, head.connectivity.strides, threshold, merge)
        live = len(connectivity)
        parameters = head.shape.cost(connectivity).parameters
    return PruneStatus(live, len(weights), dropped, kept, parameters)
