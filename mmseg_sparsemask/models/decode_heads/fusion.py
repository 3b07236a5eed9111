"""The arithmetic both heads share: Equations 1 and 4 of SparseMask, regrouped.

The paper writes a stage connection by connection (arXiv 1904.07642, Equations 1 and 4)::

    search:   D_l = BN( sum_t w_t * up( bn_t( conv_t( act(t) ) ) ) )
    retrain:  D_l = BN( sum_t up( conv_t( act(t) ) ) )

Everything under the sum is linear once the statistics of ``bn_t`` are known, so it is computed as

1. each source activated once;
2. ``w_t * bn_t(conv_t(.))`` folded into one 1x1 convolution with bias (`fold_norm`). In training
   the batch statistics of ``conv_t(act(t))`` follow from the mean and covariance of ``act(t)``
   (`moments`), so the map of a single connection never exists;
3. sources of equal resolution concatenated into one convolution, shared by the stages that take
   the same ones (`plan_blocks`);
4. sums taken at the sources' resolution, one upsampling for each (stage, resolution);
5. ``G`` and the folded biases are one vector a stage, added before the upsampling, which keeps
   constants.

Outputs equal the equations to rounding; ``tests/reference/naive.py`` has them as written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmseg_sparsemask.connectivity.graph import level_of


@dataclass(frozen=True)
class Block:
    """One convolution: sources of one resolution, for the stages that take exactly those.

    Attributes:
        stride: The resolution.
        sources: Concatenated along the input channels, in this order.
        stages: Stacked along the output channels, in this order (coarse to fine).
    """

    stride: int
    sources: tuple[str, ...]
    stages: tuple[str, ...]


def plan_blocks(
    stages: Mapping[str, Sequence[str]], strides: Sequence[int], alone: frozenset[str]
) -> tuple[Block, ...]:
    """Group a decoder's connections into convolutions.

    Args:
        stages: Sources of each stage, in the order of computation.
        strides: Stride of ``E1`` .. ``EL``.
        alone: Sources that are multiplied on their own and belong to no block: ``G`` at least.

    Returns:
        Blocks in an order in which they can be computed: by their first (coarsest) stage.
    """
    users: dict[tuple[int, tuple[str, ...]], list[str]] = {}
    for stage, sources in stages.items():
        by_stride: dict[int, list[str]] = {}
        for source in sources:
            if source not in alone:
                by_stride.setdefault(strides[level_of(source) - 1], []).append(source)
        for stride, group in by_stride.items():
            users.setdefault((stride, tuple(group)), []).append(stage)
    return tuple(Block(stride, group, tuple(names)) for (stride, group), names in users.items())


def half_precision(rows: Tensor) -> bool:
    """Whether products of these rows are made in half precision."""
    device = rows.device.type
    autocast = torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if autocast else rows.dtype
    return dtype in (torch.float16, torch.bfloat16)


def few_of(rows: Tensor) -> Tensor | None:
    """A few of rows (P, C), to look at their values.

    None on other devices than CPUs, where looking means waiting, and none while compiling.
    """
    if rows.device.type != 'cpu' or torch.compiler.is_compiling():
        return None
    return rows.detach()[:: max(1, len(rows) // 8)]


def alike(rows: Tensor) -> bool:
    """Whether rows (P, C) are nearly the same, judged by a few of them."""
    few = few_of(rows)
    return few is not None and torch.allclose(few, few[0].expand_as(few), rtol=1e-3, atol=0)


#: Numbers beyond this have squares that float32 cannot add up.
LARGE = 1e15


def unit_of(values: Tensor) -> Tensor:
    """A unit (a scalar) in which numbers can be squared: 1 unless they are large."""
    largest = values.detach().abs().amax()
    return torch.where(largest > LARGE, largest, torch.ones_like(largest))


class _Moments(torch.autograd.Function):
    """Mean and covariance over the rows of a matrix; keeps the matrix itself and nothing else.

    The covariance is in units of `unit_of` the mean, squared.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, origin: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        # Half precision has too few digits for second moments.
        exact = torch.promote_types(rows.dtype, torch.float32)
        mean = rows.mean(0, dtype=exact)
        unit = unit_of(mean if origin is None else mean + origin)
        # Centred first: E[xx'] - E[x]E[x]' would lose the variance of nearly constant channels.
        centred = torch.addcmul(-mean / unit, rows.to(exact), 1 / unit)
        covariance = centred.t() @ centred / len(rows)
        ctx.save_for_backward(rows, mean, unit)
        ctx.mark_non_differentiable(unit)
        return mean, covariance, unit

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_mean: Tensor, grad_covariance: Tensor, _: Tensor
    ) -> tuple[Tensor, None]:
        rows, mean, unit = ctx.saved_tensors
        # d cov / d mean vanishes, because the centred rows sum to zero.
        mix = (grad_covariance + grad_covariance.t()) / len(rows) / unit / unit
        offset = grad_mean / len(rows) - mean @ mix
        return torch.addmm(offset, rows.to(mix.dtype), mix).to(rows.dtype), None


def moments(
    rows: Tensor, sync: bool = False, origin: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (C,), biased covariance (C, C) and its unit over rows (P, C), in float32 or better.

    The covariance is in units squared, so that numbers that float32 can hold but not square have
    one.

    Args:
        rows: Positions of a source.
        sync: Average over all processes, as SyncBN does. Each must hold equally many rows.
        origin: (C,), what was taken away from the rows before; it may differ between processes.
    """
    with torch.autocast(rows.device.type, enabled=False):
        mean, covariance, unit = _Moments.apply(rows, origin)
        if sync:
            origin = torch.zeros_like(mean) if origin is None else origin.to(mean.dtype)
            shared = _average(mean + origin)
            apart = (mean + origin - shared) / unit_of(shared)
            own = covariance * (unit / unit_of(shared)).square()
            covariance = _average(own + torch.outer(apart, apart))
            mean, unit = shared - origin, unit_of(shared)
    return mean, covariance, unit


def _average(tensor: Tensor) -> Tensor:
    from torch.distributed.nn.functional import all_reduce

    return all_reduce(tensor.contiguous()) / dist.get_world_size()


#: What normalising and keeping one number of a product costs, forward and backward, in
#: multiply-adds. On CPUs anything from 16 to 256 is equally fast; larger keeps less memory.
NORM_COST = 160


def moments_are_cheaper(positions: int, channels: int, outputs: int) -> bool:
    """Whether to get batch statistics from the source's covariance rather than from its product.

    Forward and backward, the covariance costs C^2 (2 P + 3 K) multiply-adds; without it the product
    (P, K) has to be normalised, which is bound by memory.

    Args:
        positions: P = N h w of the source.
        channels: C of the source.
        outputs: K, channels of all its stacked convolutions.
    """
    return channels**2 * (2 * positions + 3 * outputs) <= NORM_COST * positions * outputs


def statistics_from_moments(
    rows: Tensor, weight: Tensor, sync: bool = False, origin: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and biased variance (K,) of ``rows @ weight.T`` over the rows, without computing it.

    Args:
        rows: (P, C), the positions of a source.
        weight: (K, C), its stacked convolutions.
        sync: Over all processes.
        origin: (C,), what was taken away from the rows before.

    Returns:
        The mean, the variance in units squared, and the unit, a scalar: 1 unless numbers are large.
    """
    mean, covariance, unit = moments(rows, sync, origin)
    with torch.autocast(rows.device.type, enabled=False):
        weight = weight.to(mean.dtype)
        own = unit_of(weight)
        scaled = weight / own
        return weight @ mean, ((scaled @ covariance) * scaled).sum(1).clamp_min(0), unit * own


def statistics_of(product: Tensor, sync: bool = False) -> tuple[Tensor, Tensor]:
    """Mean and biased variance (K,) over the rows of a product (P, K), in float32 or better."""
    exact = product if product.dtype == torch.float64 else product.float()
    variance, mean = torch.var_mean(exact, 0, correction=0)
    if sync:
        shared = _average(mean)
        variance = _average(variance + (mean - shared).square())
        mean = shared
    return mean, variance


def fold_norm(
    mean: Tensor, variance: Tensor, eps: float, weight: Tensor, unit: Tensor | float = 1.0
) -> tuple[Tensor, Tensor]:
    """Scale and shift of ``w * bn(.)`` for a normalisation without affine part.

    Args:
        mean: (K,).
        variance: (K,), biased, in units squared.
        eps: Epsilon of the normalisation.
        weight: (K,), the connection weight of each output channel.
        unit: A number.

    Returns:
        ``scale`` and ``shift`` (K,) such that ``w * bn(y) = scale * y + shift``.
    """
    spread = (variance + eps / unit / unit).clamp_min(torch.finfo(variance.dtype).tiny)
    scale = weight.to(mean.dtype) * torch.rsqrt(spread) / unit
    return scale, -mean * scale
