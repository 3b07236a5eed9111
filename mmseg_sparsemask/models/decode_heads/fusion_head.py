"""What the supernet and the pruned decoder have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import build_activation_layer, build_norm_layer
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from mmseg_sparsemask.connectivity import GLOBAL, Connectivity
from mmseg_sparsemask.connectivity.cost import source_channels
from mmseg_sparsemask.connectivity.graph import level_of
from mmseg_sparsemask.models.decode_heads.activations import in_place
from mmseg_sparsemask.models.decode_heads.fusion import (
    Block,
    plan_blocks,
)
from mmseg_sparsemask.models.decode_heads.upsampling import (
    Product,
    as_map,
    as_rows,
    classify_strips,
    strips_pay,
    upsample_sum,
)


class FusionHead(BaseDecodeHead):
    """Decoder that fuses encoder features along a Connectivity.

    A stage is ``BN(sum of its sources' 1x1 convolutions, resized)``; the activation is applied
    to each source, and to ``D1`` before the classifier. A subclass says with which weights
    (`connection_scales`, `folded_weight`, `weighted_product`).

    Parameters are named by stage and source: ``convs.D1.E3`` is the convolution of the connection
    ``E3 -> D1``, shape (channels, C, 1, 1); ``norms.D1`` is the normalisation of the stage.

    Args:
        connectivity: The decoder's graph.
        in_channels: Channels of ``E1`` .. ``EL``.
        in_index: Their places in the tuple that the backbone gives.
        channels: Channels of every stage.
        norm_cfg: Normalisation of the stages.
        act_cfg: Activation.
        align_corners: Of the upsampling inside the decoder, and of the logits to the label.
        dropout_ratio: Before the classifier.
        with_cp: Keep only the features for the backward pass and compute the decoder again there.
            Rarely worth its time: little is kept without it (docs/performance.md).
        **kwargs: As of any mmseg decode head: num_classes, loss_decode, ignore_index, ...

    Raises:
        ValueError: Numbers of channels, indices and strides differ.
    """

    def __init__(
        self,
        connectivity: Connectivity,
        in_channels: Sequence[int],
        in_index: Sequence[int],
        channels: int = 64,
        *,
        norm_cfg: dict[str, Any] | None = None,
        act_cfg: dict[str, Any] | None = None,
        align_corners: bool = True,
        dropout_ratio: float = 0.0,
        with_cp: bool = False,
        **kwargs: Any,
    ) -> None:
        in_channels, in_index = _check_inputs(in_channels, in_index, connectivity)
        norm_cfg = dict(norm_cfg or {'type': 'BN'})
        act_cfg = dict(act_cfg or {'type': 'ReLU6'})
        super().__init__(
            in_channels=in_channels,
            channels=channels,
            in_index=in_index,
            input_transform='multiple_select',
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
            align_corners=align_corners,
            dropout_ratio=dropout_ratio,
            **kwargs,
        )
        self.connectivity = connectivity
        # Plain copies for a pass: a compiler does not follow Connectivity's read-only view.
        self.stages = dict(connectivity.stages)
        self.users = {source: connectivity.consumers(source) for source in connectivity.sources()}
        self.with_cp = with_cp
        self.convs = nn.ModuleDict(
            {
                stage: nn.ParameterDict(
                    {source: self._new_weight(source) for source in connectivity.stages[stage]}
                )
                for stage in connectivity.stages
            }
        )
        self.norms = nn.ModuleDict(
            {stage: build_norm_layer(norm_cfg, channels)[1] for stage in connectivity.stages}
        )
        self.act = build_activation_layer({**act_cfg, 'inplace': False})
        # A stage's output is only ever used activated, so its activation may overwrite it.
        self.act_in_place = in_place(self.act)

    def _new_weight(self, source: str) -> nn.Parameter:
        inputs = source_channels(source, self.in_channels, self.channels)
        weight = nn.Parameter(torch.empty(self.channels, inputs, 1, 1))
        # As the toolbox's ConvModule.
        nn.init.kaiming_normal_(weight, mode='fan_out', nonlinearity='relu')
        return weight

    def stacked_weight(self, source: str) -> Tensor:
        """Convolutions of a source, stacked over its users from coarse to fine: (n K, C)."""
        return torch.cat([self.convs[stage][source].flatten(1) for stage in self.users[source]])

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits.

        Args:
            inputs: What the backbone gives; ``in_index`` picks ``E1`` .. ``EL`` from it. Item i
                is (N, C_i, H/s_i, W/s_i), any size.

        Returns:
            (N, num_classes, H/s_1, W/s_1), the size of ``E1``.

        Raises:
            ValueError: Number, channels or relative sizes of the features are not what the
                head was built for.
        """
        return self.decode(self._select(inputs))

    def decode(self, features: Sequence[Tensor]) -> Tensor:
        """Logits (N, num_classes, H/s_1, W/s_1) from ``E1`` .. ``EL``, in channels_last."""
        # Drawn here, so that a pass computed again for its gradients uses the same.
        scales = self.connection_scales()
        if self.with_cp and self.training and torch.is_grad_enabled():
            return checkpoint(
                self._pass,
                scales,
                *features,
                use_reentrant=False,
                context_fn=lambda: (nullcontext(), self._buffers_kept()),
            )
        return self._pass(scales, *features)

    def _pass(self, scales: dict[str, Tensor], *features: Tensor) -> Tensor:
        return _Pass(self, features, scales).run()

    @contextmanager
    def _buffers_kept(self) -> Iterator[None]:
        """Computing a pass again must not count its statistics twice."""
        before = [buffer.clone() for buffer in self.buffers()]
        try:
            yield
        finally:
            with torch.no_grad():
                for buffer, value in zip(self.buffers(), before):
                    buffer.copy_(value)

    def cls_seg(self, feat: Tensor) -> Tensor:
        """Logits from activated ``D1``; the classifier as a product of rows."""
        if self.dropout is not None:
            feat = self.dropout(feat)
        rows = F.linear(as_rows(feat), self.conv_seg.weight.flatten(1), self.conv_seg.bias)
        return as_map(rows, feat)

    def sources_alone(self, features: Sequence[Tensor]) -> frozenset[str]:
        """Sources that are multiplied on their own (`weighted_product`), not in a block."""
        return frozenset({GLOBAL})

    def connection_scales(self) -> dict[str, Tensor]:
        """Connection weights of this pass by source, for each output of `stacked_weight`: (n K,).

        A source that is not there has weight 1.
        """
        return {}

    def weighted_product(self, source: str, rows: Tensor, scale: Tensor | None) -> Tensor:
        """What the users of a source that stands alone get from it.

        Args:
            source: Its name.
            rows: (P, C), its activated positions; for ``G`` one row an image.
            scale: Its connection weights, from `connection_scales`.

        Returns:
            (P, n K), stacked over the n users from coarse to fine.
        """
        return F.linear(rows, self.stacked_weight(source))

    def folded_weight(
        self, source: str, rows: Tensor | None, scale: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Weight (n K, C) and bias (n K,) or None that the users of a source apply to it.

        Args:
            source: Its name.
            rows: (P, C), its activated positions. In evaluation they do not matter: None will do.
            scale: Its connection weights, from `connection_scales`.
        """
        return self.stacked_weight(source), None

    def _select(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        wanted = f'decode head expects features of {list(self.in_channels)} channels'
        remedy = 'tools/describe_backbone.py CONFIG prints the lines to paste'
        if max(self.in_index) >= len(inputs) or min(self.in_index) < -len(inputs):
            raise ValueError(
                f'{wanted} at in_index {list(self.in_index)}, the backbone gives {len(inputs)} '
                f'features; {remedy}'
            )
        features = self._transform_inputs(inputs)
        got = [feature.shape[1] for feature in features]
        if got != list(self.in_channels):
            raise ValueError(f'{wanted}, the backbone gives {got}; {remedy}')
        self._check_sizes(features, remedy)
        return [feature.contiguous(memory_format=torch.channels_last) for feature in features]

    def _check_sizes(self, features: Sequence[Tensor], remedy: str) -> None:
        strides = self.connectivity.strides
        first: dict[int, tuple[int, int]] = {}
        for level, (feature, stride) in enumerate(zip(features, strides), 1):
            height, width = feature.shape[-2:]
            reference = first.setdefault(stride, (height, width))
            # Strided layers round up or down, so a size may be off by one position.
            scale = strides[0] / stride
            expected = [features[0].shape[-2] * scale, features[0].shape[-1] * scale]
            fits = all(abs(e - g) <= 1 + max(0.0, scale) for e, g in zip(expected, (height, width)))
            if reference != (height, width) or not fits:
                sizes = [tuple(f.shape[-2:]) for f in features]
                raise ValueError(
                    f'decode head expects features of strides {list(strides)}, but E{level} has '
                    f'size {height}x{width} among {sizes}; {remedy}'
                )


class _Pass:
    """One forward pass of a FusionHead: what is shared between its stages.

    Maps are kept as rows (N h w, C), which is what channels_last is in memory.
    """

    def __init__(
        self, head: FusionHead, features: Sequence[Tensor], scales: dict[str, Tensor]
    ) -> None:
        self.head = head
        self.connectivity = head.connectivity
        self.features = features
        self.alone = head.sources_alone(features)
        self.scales = scales
        self.blocks = plan_blocks(head.stages, self.connectivity.strides, self.alone)
        self.rows: dict[str, Tensor] = {}
        self.weights: dict[str, Tensor] = {}
        self.maps: dict[str, dict[int, Tensor]] = {stage: {} for stage in head.stages}
        self.vectors: dict[str, list[Tensor]] = {stage: [] for stage in head.stages}
        self.prepared: set[str] = set()

    def run(self) -> Tensor:
        """Logits."""
        activated = None
        for stage, sources in self.head.stages.items():
            blocks = [block for block in self.blocks if block.stages[0] == stage]
            if stage == 'D1' and self._one_pass_pays():
                return self._classify_in_one_pass(blocks)
            for source in sources:
                self._prepare(source)
            for block in blocks:
                self._multiply(block)
            activated = self.head.act_in_place(self.head.norms[stage](self._sum(stage)))
            self.rows[stage] = as_rows(activated)
        return self.head.cls_seg(activated)

    def _one_pass_pays(self) -> bool:
        norm = self.head.norms['D1']
        return (
            not torch.is_grad_enabled()
            and not self.head.training
            and isinstance(norm, _BatchNorm)
            and norm.affine
            and norm.track_running_stats
            and not norm.training
            and self.features[0].dtype == norm.running_mean.dtype
            and not torch.is_autocast_enabled(self.features[0].device.type)
            and strips_pay(self.features[0])
        )

    def _classify_in_one_pass(self, blocks: Sequence[Block]) -> Tensor:
        """Logits without ``D1`` as a whole: its normalisation folds into what it sums."""
        norm = self.head.norms['D1']
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        size = self.features[0].shape[-2:]
        here = [
            block
            for block in blocks
            if block.stages == ('D1',) and self._like(block.stride).shape[-2:] == size
        ]
        late = {source for block in here for source in block.sources} - set(self.rows)
        for source in self.head.stages['D1']:
            self._prepare(source, activate=source not in late)
        own = []
        for source in (source for block in here for source in block.sources):
            weight = self._weight_for(source, ('D1',)) * scale[:, None]
            if source in late:
                rows = as_rows(self.features[level_of(source) - 1])
                own.append(Product(rows, weight, self.head.act))
            else:
                own.append(Product(self.rows[source], weight, nn.Identity()))
        for block in blocks:
            if block not in here:
                self._multiply(block)
        maps = [
            as_map(rows * scale, self._like(stride)) for stride, rows in self.maps['D1'].items()
        ]
        vectors = self.vectors['D1']
        vector = sum(vectors) if vectors else 0
        bias: Tensor = (vector - norm.running_mean) * scale + norm.bias
        return classify_strips(
            own,
            maps,
            bias.view(-1, self.head.channels).expand(len(self.features[0]), -1),
            self.head.act_in_place,
            self.head.conv_seg,
            size,
            self.head.align_corners,
        )

    def _prepare(self, source: str, activate: bool = True) -> None:
        """Activate a source and get its weights or its product, once.

        In evaluation the weights do not need the activated source: it may be left for later.
        """
        if source in self.prepared:
            return
        self.prepared.add(source)
        if not activate:
            pass
        elif source == GLOBAL:
            self.rows[source] = self.head.act(self.features[-1].mean((2, 3)))
        elif source not in self.rows:
            self.rows[source] = as_rows(self.head.act(self.features[level_of(source) - 1]))
        rows = self.rows.get(source)
        users = self.head.users[source]
        if source in self.alone:
            product = self.head.weighted_product(source, rows, self.scales.get(source))
            for stage, part in zip(users, _parts(product, len(users))):
                if source == GLOBAL:
                    self.vectors[stage].append(part)
                else:
                    self._add_map(stage, self.connectivity.stride_of(source), part)
            return
        weight, bias = self.head.folded_weight(source, rows, self.scales.get(source))
        self.weights[source] = weight
        if bias is not None:
            for stage, part in zip(users, bias.view(1, len(users), -1).unbind(1)):
                self.vectors[stage].append(part)

    def _multiply(self, block: Block) -> None:
        """Sum of a block's products. Accumulated in place: nothing is concatenated or kept."""
        product = None
        for source in block.sources:
            rows = self.rows[source]
            weight = self._weight_for(source, block.stages).to(rows.dtype)
            if product is None:
                product = torch.mm(rows, weight.t())
            else:
                product.addmm_(rows.to(product.dtype), weight.t().to(product.dtype))
        for stage, part in zip(block.stages, _parts(product, len(block.stages))):
            self._add_map(stage, block.stride, part)

    def _weight_for(self, source: str, stages: Sequence[str]) -> Tensor:
        """Rows of a source's stacked weight that belong to some of its users."""
        users = self.head.users[source]
        parts = self.weights[source].view(len(users), self.head.channels, -1)
        first = users.index(stages[0])
        if users[first : first + len(stages)] == tuple(stages):
            return parts[first : first + len(stages)].flatten(0, 1)
        return torch.cat([parts[users.index(stage)] for stage in stages])

    def _sum(self, stage: str) -> Tensor:
        """A stage before its normalisation."""
        like = self.features[level_of(stage) - 1]
        maps, vectors = self.maps.pop(stage), self.vectors.pop(stage)
        vector = sum(vectors[1:], vectors[0]) if vectors else None
        if not maps:
            return vector[:, :, None, None].expand(-1, -1, *like.shape[-2:])
        if vector is not None:
            # Bilinear weights sum to one, so the vector may join where that is cheapest.
            coarsest = max(maps)
            maps[coarsest] = self._add_vector(maps[coarsest], vector)
        own, others = None, []
        for stride, rows in maps.items():
            if self._like(stride).shape[-2:] == like.shape[-2:]:
                own = rows if own is None else own + rows
            else:
                others.append(as_map(rows, self._like(stride)))
        return upsample_sum(own, others, like, self.head.align_corners)

    def _add_vector(self, rows: Tensor, vector: Tensor) -> Tensor:
        """Rows (N h w, K) plus a vector (N or 1, K) for each image."""
        per_image = rows.view(len(self.features[0]), -1, rows.shape[1])
        return (per_image + vector[:, None].to(rows.dtype)).flatten(0, 1)

    def _like(self, stride: int) -> Tensor:
        return self.features[self.connectivity.strides.index(stride)]

    def _add_map(self, stage: str, stride: int, part: Tensor) -> None:
        maps = self.maps[stage]
        maps[stride] = maps[stride] + part if stride in maps else part


def _parts(product: Tensor, count: int) -> Sequence[Tensor]:
    """Columns of a product by user. One user gets the product itself, which it may overwrite."""
    return (product,) if count == 1 else product.chunk(count, 1)


def _check_inputs(
    in_channels: Sequence[int], in_index: Sequence[int], connectivity: Connectivity
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Both as tuples, one entry for each level of the connectivity."""
    for name, value in (('in_channels', in_channels), ('in_index', in_index)):
        if isinstance(value, (int, str)) or not all(isinstance(item, int) for item in value):
            raise ValueError(
                f'{name}: expected a list of integers, one for each encoder feature, got {value!r}'
            )
        if len(value) != connectivity.num_levels:
            raise ValueError(
                f'{name}: expected {connectivity.num_levels} entries, one for each of the strides '
                f'{list(connectivity.strides)}, got {list(value)}; '
                'tools/describe_backbone.py CONFIG prints the lines to paste'
            )
    return tuple(in_channels), tuple(in_index)
