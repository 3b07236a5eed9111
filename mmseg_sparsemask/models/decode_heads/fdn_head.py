"""The supernet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from mmengine.structures import BaseDataElement
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_sparsemask.connectivity import GLOBAL, Connection, Connectivity
from mmseg_sparsemask.connectivity.budget import Budget
from mmseg_sparsemask.connectivity.graph import level_of
from mmseg_sparsemask.connectivity.io import ConnectivityLike, resolve
from mmseg_sparsemask.models.decode_heads.fusion import (
    alike,
    few_of,
    fold_norm,
    half_precision,
    moments_are_cheaper,
    statistics_from_moments,
    statistics_of,
    unit_of,
)
from mmseg_sparsemask.models.decode_heads.fusion_head import FusionHead
from mmseg_sparsemask.models.losses.build import budget_losses, build_connectivity_losses

_NORMS = ('BN', 'BN2d', 'SyncBN', 'MMSyncBN')


@MODELS.register_module()
class FDNHead(FusionHead):
    """Fully Dense Network: every allowed connection, each with a learnable weight.

    ``D_l = BN( sum_t w_t * up( bn_t( conv1x1_t( act(t) ) ) ) )`` (SparseMask, Equation 1). ``bn_t``
    has no scale and shift: they would hide w. `connections` holds and learns the weights; the
    `loss_connectivity` drives them to 0 or 1, most to 0. `PruneHook` makes a connectivity of them.

    Args:
        in_channels: Channels of ``E1`` .. ``EL``.
        in_index: Their places in the tuple that the backbone gives.
        strides: Their strides, for the result: connectivity.json names them.
        connections: Config of the rule for the connection weights: ``RelaxedConnections``
            (SparseMask), ``TopKConnections`` (MaskConnect), ``SampledConnections`` (a supernet to
            cut), or another `ConnectionRule`.
        loss_connectivity: Config of the loss on the connection weights, or a list of several, as
            with `loss_decode`; None for none.
        connectivity: The search space; the full network by default.
        **kwargs: See `FusionHead`.

    Raises:
        ValueError: Inputs do not fit together; a norm_cfg without batch statistics.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        in_index: Sequence[int],
        strides: Sequence[int],
        *,
        connections: dict[str, Any] | None = None,
        loss_connectivity: dict[str, Any] | Sequence[dict[str, Any]] | None = None,
        connectivity: ConnectivityLike = 'fdn',
        **kwargs: Any,
    ) -> None:
        super().__init__(resolve(connectivity, strides), in_channels, in_index, **kwargs)
        norm_type = self.norm_cfg.get('type')
        if norm_type not in _NORMS:
            raise ValueError(
                f'norm_cfg: the supernet normalises each connection by batch statistics; expected '
                f'one of {list(_NORMS)}, got {norm_type!r}'
            )
        self.sync_statistics = norm_type.endswith('SyncBN')
        norm_args = {key: self.norm_cfg[key] for key in ('eps', 'momentum') if key in self.norm_cfg}
        # Running statistics by source, stacked over its users from coarse to fine.
        self.connection_norms = nn.ModuleDict(
            {
                source: nn.BatchNorm1d(self._outputs(source), affine=False, **norm_args)
                for source in self.connectivity.sources()
            }
        )
        # Plain: a compiler does not follow Connectivity's read-only view.
        self._all_users, self._all_stages = dict(self.users), dict(self.stages)
        #: What the rule for the connection weights was built from.
        self.connections_cfg = {'type': 'RelaxedConnections', **(connections or {})}
        self.connections = MODELS.build({**self.connections_cfg, 'connectivity': self.connectivity})
        self.loss_connectivity = build_connectivity_losses(
            loss_connectivity, self.connectivity, self.shape
        )

    @property
    def budgets(self) -> list[Budget]:
        """What the losses on the connection weights ask for, each with its costs."""
        return [loss.budget for loss in budget_losses(self.loss_connectivity)]

    def connection_weights(self) -> dict[Connection, float]:
        """Weight in [0, 1] of every connection, as pruning sees it; finest stage first.

        Raises:
            ValueError: A raw weight is not a finite number. Clamped, an infinite one would pass
                for 0 or 1.
        """
        for name, raw in self.connections.named_parameters():
            if not raw.isfinite().all():
                raise ValueError(
                    f'connection weights: expected finite numbers, got {raw.tolist()} in {name}; '
                    'the search has diverged: resume an earlier checkpoint with a lower learning '
                    'rate'
                )
        by_stage = self.connections.weights()
        return {
            Connection(source, stage): weight
            for stage, sources in reversed(self.stages.items())
            for source, weight in zip(sources, by_stage[stage].detach().double().tolist())
        }

    def decode(self, features: Sequence[Tensor]) -> Tensor:
        """Logits (N, num_classes, h, w) from ``E1`` .. ``EL``."""
        batch = len(features[-1])
        if self.training and batch == 1 and GLOBAL in self.users and not self._syncs():
            raise ValueError(
                'the supernet normalises G over the batch: expected a batch of at least 2 '
                'images in training, got 1; raise batch_size or use SyncBN'
            )
        # A rule of one's own may be any module.
        draw = getattr(self.connections, 'subset', None)
        subset = draw() if self.training and draw else None
        with self.cut_to(subset or self.connectivity):
            return super().decode(features)

    @contextmanager
    def cut_to(self, connectivity: Connectivity) -> Iterator[None]:
        """Within the block, passes compute a part of the search space alone.

        Args:
            connectivity: The part, with an end of its own.
        """
        whole = self.stages, self.users
        if connectivity != self.connectivity:
            self.stages = dict(connectivity.stages)
            self.users = {source: connectivity.users(source) for source in connectivity.sources()}
        try:
            yield
        finally:
            self.stages, self.users = whole

    def weights_by_source(self) -> dict[str, Tensor]:
        """Connection weights of this pass, drawn anew: see the base class."""
        drawn = self.connections()
        by_source: dict[str, list[Tensor]] = {}
        for stage, sources in self.stages.items():
            for source, weight in zip(self._all_stages[stage], drawn[stage].unbind()):
                if source in sources:
                    by_source.setdefault(source, []).append(weight)
        return {
            source: torch.stack(weights).repeat_interleave(self.channels)
            for source, weights in by_source.items()
        }

    def loss_by_feat(
        self, seg_logits: Tensor, batch_data_samples: list[BaseDataElement]
    ) -> dict[str, Tensor]:
        """Losses of the task, and those on the connection weights.

        A single one is ``loss_connectivity``; those of a list have the names they give themselves.
        """
        losses = super().loss_by_feat(seg_logits, batch_data_samples)
        if self.loss_connectivity is None:
            return losses
        with torch.autocast(seg_logits.device.type, enabled=False):
            weights = self.connections.weights()
            if not isinstance(self.loss_connectivity, nn.ModuleList):
                losses['loss_connectivity'] = self.loss_connectivity(weights)
                return losses
            for loss in self.loss_connectivity:
                losses[loss.loss_name] = losses.get(loss.loss_name, 0) + loss(weights)
        return losses

    def sources_alone(self, features: Sequence[Tensor]) -> frozenset[str]:
        """In training, sources with more channels than positions (nearly) stand alone."""
        alone = super().sources_alone(features)
        if not self.training:
            return alone
        for source in self.users:
            if source != GLOBAL:
                feature = features[level_of(source) - 1]
                positions = feature.shape[0] * feature.shape[-2] * feature.shape[-1]
                channels = self.shape.source_channels(source)
                cheaper = moments_are_cheaper(positions, channels, self._outputs(source))
                # Of few positions a covariance is singular, and gradients cancel to rounding.
                if positions < channels or not cheaper:
                    alone |= {source}
        return alone

    @torch.no_grad()
    def origin(self, rows: Tensor) -> Tensor | None:
        """About the mean of rows (P, C), where products are in half precision or rows are alike.

        A normalisation subtracts the mean from the product. Where a source hardly varies, only
        rounding errors would be left, which the next stages enlarge; so the mean is subtracted
        first. Rows that are equal then become 0.
        """
        if self.training and alike(rows):
            return rows[0]
        return rows.mean(0) if half_precision(rows) else None

    def folded_weight(
        self,
        source: str,
        rows: Tensor | None,
        connection_weight: Tensor,
        origin: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """``w * bn(conv(.))`` as one weight (n K, C) and bias (n K,): see the base class."""
        weight = self.stacked_weight(source)
        norm = self.connection_norms[source]
        offset = _offset(weight, origin)
        unit: Tensor | float = 1.0
        if norm.training:
            mean, variance, unit = statistics_from_moments(rows, weight, self._syncs(), origin)
            self._update(source, mean + offset, variance * unit * unit, len(rows))
        else:
            places = self._places(source)
            mean, variance = norm.running_mean[places] - offset, norm.running_var[places]
        factor, shift = fold_norm(mean, variance, norm.eps, connection_weight, unit)
        return weight.to(factor.dtype) * factor[:, None], shift

    def weighted_product(
        self,
        source: str,
        rows: Tensor,
        connection_weight: Tensor,
        origin: Tensor | None = None,
    ) -> Tensor:
        """``w * bn(conv(source))`` (P, n K); w is the scale that ``bn`` itself lacks."""
        norm, weight = self.connection_norms[source], self.stacked_weight(source)
        product, offset = F.linear(rows, weight), _offset(weight, origin)
        places = self._places(source)
        if norm.training and not self._syncs():
            norm.num_batches_tracked.add_(1)
            # Float32 cannot square what is large, so it is normalised in a unit of its own.
            few = few_of(product)
            unit = 1.0 if few is None else float(unit_of(few))
            # Copies: the backward pass wants them as they were given.
            running_mean = (norm.running_mean[places] - offset).detach() / unit
            running_var = norm.running_var[places] / unit / unit
            normalised = F.batch_norm(
                product if unit == 1 else product / unit,
                running_mean,
                running_var,
                weight=connection_weight,
                training=True,
                momentum=self._rate(norm),
                eps=max(norm.eps / unit / unit, torch.finfo(running_var.dtype).tiny),
            )
            with torch.no_grad():
                norm.running_mean[places] = running_mean * unit + offset
                # An infinite one would stay.
                running_var = running_var * unit * unit
                norm.running_var[places] = running_var.clamp(max=torch.finfo(running_var.dtype).max)
            return normalised
        if origin is not None:  # each process may have one of its own
            product = (product + offset).to(product.dtype)
        if norm.training:
            mean, variance = statistics_of(product, sync=True)
            self._update(source, mean, variance, len(rows))
        else:
            mean, variance = norm.running_mean[places], norm.running_var[places]
        scale, shift = fold_norm(mean, variance, norm.eps, connection_weight)
        return (product * scale + shift).to(product.dtype)

    def _outputs(self, source: str) -> int:
        return self.channels * len(self.users[source])

    def _places(self, source: str) -> slice | Tensor:
        """Where the statistics of a source's present users are among those of all its users."""
        every = self._all_users[source]
        if self.users[source] == every:
            return slice(None)
        rows = torch.arange(self.channels * len(every)).view(len(every), -1)
        rows = rows[[every.index(stage) for stage in self.users[source]]].flatten()
        return rows.to(self.conv_seg.weight.device)

    def _syncs(self) -> bool:
        if not (dist.is_available() and dist.is_initialized()):
            return False
        # A config's ``sync_bn`` converts the norms once the head is made.
        converted = any(
            not isinstance(norm, nn.BatchNorm1d) for norm in self.connection_norms.values()
        )
        return self.sync_statistics or converted

    @torch.no_grad()
    def _update(self, source: str, mean: Tensor, variance: Tensor, count: int) -> None:
        """Running statistics as nn.BatchNorm keeps them."""
        norm, places = self.connection_norms[source], self._places(source)
        count *= dist.get_world_size() if self._syncs() else 1
        norm.num_batches_tracked.add_(1)
        rate = self._rate(norm)
        # An infinite one would stay.
        unbiased = (variance * (count / max(count - 1, 1))).clamp(max=torch.finfo(mean.dtype).max)
        for running, now in ((norm.running_mean, mean), (norm.running_var, unbiased)):
            kept = running[places]  # a view if all users are present
            kept.lerp_(now.to(running.dtype), rate)
            if isinstance(places, Tensor):
                running[places] = kept

    @staticmethod
    def _rate(norm: nn.BatchNorm1d) -> float:
        """Share of this batch in the running statistics; no momentum means a plain average."""
        if norm.momentum is not None:
            return norm.momentum
        return 1.0 / max(1.0, float(norm.num_batches_tracked))


def _offset(weight: Tensor, origin: Tensor | None) -> Tensor | float:
    """What convolutions (K, C) give of what was taken away from their source: (K,), or 0."""
    if origin is None:
        return 0.0
    with torch.autocast(weight.device.type, enabled=False):
        return weight @ origin.to(weight.dtype)
