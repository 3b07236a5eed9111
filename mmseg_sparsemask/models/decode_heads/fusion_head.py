"""What the supernet and the pruned decoder have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn

from mmseg_sparsemask.connectivity import GLOBAL, Connectivity, DecoderShape
from mmseg_sparsemask.connectivity.graph import level_of
from mmseg_sparsemask.connectivity.shape import one_per_level
from mmseg_sparsemask.models.decode_heads.activations import in_place
from mmseg_sparsemask.models.decode_heads.feature_checks import check_sizes, remedy
from mmseg_sparsemask.models.decode_heads.fusion import Block, plan_blocks
from mmseg_sparsemask.models.decode_heads.stage_layers import RowConv, StageConvs
from mmseg_sparsemask.models.decode_heads.upsampling import as_map, as_rows
from mmseg_sparsemask.utils.layers import build_activation, build_norm
from mmseg_sparsemask.utils.one_output import check_one_output


class FusionHead(BaseDecodeHead):
    """Decoder that fuses encoder features along a Connectivity.

    A stage is ``BN(sum of its sources' 1x1 convolutions, resized)``. A stage is activated before it
    is used, and with `act_encoder` encoder features are, too. A subclass says with which weights
    (`weights_by_source`, `folded_weight`, `weighted_product`).

    Parameters are named by stage and source: ``convs.D1.E3`` is the convolution of the connection
    ``E3 -> D1``, shape (channels, C, 1, 1); ``norms.D1`` is the normalisation of the stage.
    A forward hook on ``convs.D1`` sees the sum of the stage, one on ``norms.D1`` the stage, one on
    ``conv_seg`` the logits. A single connection has no map of its own to look at.

    Args:
        connectivity: The decoder's graph.
        in_channels: Channels of ``E1`` .. ``EL``.
        in_index: Their places in the tuple that the backbone gives.
        channels: Channels of every stage.
        norm_cfg: Normalisation of the stages.
        act_cfg: Activation of the stages.
        act_encoder: Whether encoder features, and their average ``G``, are activated, too, as in
            the published code. The paper's equations leave them as they are, and so does False: the
            sign of what linear bottlenecks and transformers give carries information. None means
            False, and for weights that are loaded whatever they were trained with.
        align_corners: For the upsampling inside the decoder, and of the logits to the label.
        dropout_ratio: Before the classifier.
        **kwargs: As of any mmseg decode head: num_classes, loss_decode, ignore_index, ...

    Raises:
        ValueError: Numbers of channels, indices and strides differ; or, when weights are loaded,
            they were trained with another `act_encoder` than the one asked for.
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
        act_encoder: bool | None = None,
        align_corners: bool = True,
        dropout_ratio: float = 0.0,
        **kwargs: Any,
    ) -> None:
        in_channels = one_per_level('in_channels', in_channels, connectivity.strides)
        in_index = one_per_level('in_index', in_index, connectivity.strides)
        norm_cfg = dict(norm_cfg or {'type': 'BN'})
        act_cfg = act_cfg or {'type': 'ReLU6'}
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
        #: What its costs are asked of.
        self.shape = DecoderShape(connectivity.strides, in_channels, channels, self.out_channels)
        # Plain copies for a pass: a compiler does not follow Connectivity's read-only view.
        self.stages = dict(connectivity.stages)
        self.users = {source: connectivity.users(source) for source in connectivity.sources()}
        self.convs = nn.ModuleDict(
            {
                stage: StageConvs({source: self._new_weight(source) for source in sources})
                for stage, sources in connectivity.stages.items()
            }
        )
        self.norms = nn.ModuleDict(
            {stage: build_norm(norm_cfg, channels) for stage in connectivity.stages}
        )
        self.act = build_activation(act_cfg)
        self.act_encoder = bool(act_encoder)
        self._act_encoder_asked = act_encoder
        # So that weights say how they were trained.
        self.register_buffer('encoder_activated', torch.tensor(self.act_encoder))
        # A stage is only ever used activated, so its activation may overwrite it.
        self.act_in_place = in_place(self.act)
        # With the weights that were just drawn: on the meta device nothing is drawn again.
        classifier = RowConv(channels, self.out_channels, 1, device='meta')
        classifier.weight, classifier.bias = self.conv_seg.weight, self.conv_seg.bias
        self.conv_seg = classifier

    def _new_weight(self, source: str) -> nn.Parameter:
        inputs = self.shape.source_channels(source)
        weight = nn.Parameter(torch.empty(self.channels, inputs, 1, 1))
        # As the toolbox's ConvModule.
        nn.init.kaiming_normal_(weight, mode='fan_out', nonlinearity='relu')
        return weight

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        mark = f'{prefix}encoder_activated'
        if holds_decoder(state_dict, prefix):
            # Before there was a choice, all were activated.
            trained_with = bool(state_dict.setdefault(mark, torch.tensor(True)))
            if self._act_encoder_asked not in (None, trained_with):
                raise ValueError(
                    f'act_encoder: expected {trained_with}, with which these weights were trained, '
                    f'got {self._act_encoder_asked}; set model.decode_head.act_encoder='
                    f'{trained_with}'
                )
            if self.act_encoder != trained_with:
                print_log(
                    f'the decoder was trained with act_encoder={trained_with}, and so it is used',
                    'current',
                )
            self.act_encoder = trained_with
        super()._load_from_state_dict(state_dict, prefix, *args)

    def activated_feature(self, feature: Tensor) -> Tensor:
        """An encoder feature, or ``G``, as connections take it."""
        return self.act(feature) if self.act_encoder else feature

    def start(self, source: str, rows: Tensor) -> None:
        """Called in each pass before the weights of a source are used.

        Args:
            source: Its name.
            rows: (P, C), its positions as connections take them; for ``G`` one row an image.
        """

    def stacked_weight(self, source: str) -> Tensor:
        """Convolutions of a source, stacked over its users from coarse to fine: (n K, C)."""
        return torch.cat([self.convs[stage][source].flatten(1) for stage in self.users[source]])

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits.

        Args:
            inputs: What the backbone gives; ``in_index`` picks ``E1`` .. ``EL`` from it. Item i
                is (N, C_i, H/s_i, W/s_i), any size.

        Returns:
            (N, num_classes, h, w), the size of the decoder's end: of ``E1`` if it ends at ``D1``.

        Raises:
            ValueError: Number, channels or relative sizes of the features are not what the
                head was built for.
        """
        return self.decode(self._select(inputs))

    def decode(self, features: Sequence[Tensor]) -> Tensor:
        """Logits (N, num_classes, h, w) from ``E1`` .. ``EL``, in channels_last."""
        return _Pass(self, features).run()

    def loss_by_feat(self, seg_logits: Tensor, batch_data_samples: list) -> dict[str, Tensor]:
        """MMSegmentation's losses; a softmax over one output is a ValueError.

        With one output, a batch without a labelled pixel contributes 0.
        """
        if self.out_channels == 1:
            check_one_output(self.loss_decode)
            truths = [sample.gt_sem_seg.data for sample in batch_data_samples]
            if all(bool((truth == self.ignore_index).all()) for truth in truths):
                several = isinstance(self.loss_decode, nn.ModuleList)
                losses = self.loss_decode if several else [self.loss_decode]
                return {loss.loss_name: seg_logits.sum() * 0 for loss in losses}
        return super().loss_by_feat(seg_logits, batch_data_samples)

    def sources_alone(self, features: Sequence[Tensor]) -> frozenset[str]:
        """Sources that are multiplied on their own (`weighted_product`), not in a block."""
        return frozenset({GLOBAL})

    def weights_by_source(self) -> dict[str, Tensor]:
        """Connection weights of this pass by source, for each output of `stacked_weight`: (n K,).

        A source that is not there has weight 1.
        """
        return {}

    def weighted_product(
        self,
        source: str,
        rows: Tensor,
        connection_weight: Tensor | None,
        origin: Tensor | None = None,
    ) -> Tensor:
        """What the users of a source that stands alone get from it.

        Args:
            source: Its name.
            rows: (P, C), its activated positions; for ``G`` one row an image.
            connection_weight: Weights of its connections, from `weights_by_source`.
            origin: From `origin`; `rows` are relative to it.

        Returns:
            (P, n K), stacked over the n users from coarse to fine.
        """
        return F.linear(rows, self.stacked_weight(source))

    def origin(self, rows: Tensor) -> Tensor | None:
        """(C,) to be taken away from the positions (P, C) of a source first, or None."""

    def folded_weight(
        self,
        source: str,
        rows: Tensor | None,
        connection_weight: Tensor | None,
        origin: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Weight (n K, C) and bias (n K,) or None that the users of a source apply to it.

        Args:
            source: Its name.
            rows: (P, C), its positions. In evaluation they do not matter: None will do.
            connection_weight: Weights of its connections, from `weights_by_source`.
            origin: From `origin`; `rows` are relative to it, and so is what the weight multiplies.
        """
        return self.stacked_weight(source), None

    def _select(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        wanted = f'decode head expects features of {list(self.in_channels)} channels'
        if max(self.in_index) >= len(inputs) or min(self.in_index) < -len(inputs):
            raise ValueError(
                f'{wanted} at in_index {list(self.in_index)}, the backbone gives {len(inputs)} '
                f'features; {remedy()}'
            )
        features = self._transform_inputs(inputs)
        got = [feature.shape[1] for feature in features]
        if got != list(self.in_channels):
            raise ValueError(f'{wanted}, the backbone gives {got}; {remedy()}')
        check_sizes(features, self.connectivity.strides)
        return [feature.contiguous(memory_format=torch.channels_last) for feature in features]


def holds_decoder(state_dict: Mapping[str, Any], prefix: str) -> bool:
    """Whether a state has the weights of a FusionHead under a prefix."""
    # Other heads have a part of this name, too, with numbers for stages.
    return any(key.startswith(f'{prefix}convs.D') for key in state_dict)


class _Pass:
    """One forward pass of a FusionHead: what is shared between its stages.

    A source is taken once (`_take`); then each stage multiplies the blocks that begin with it
    (`_multiply`), adds up what it has got (`_sum`), and is normalised, activated and taken itself.
    The last one is classified.

    Maps are kept as rows (N h w, C), which is what channels_last is in memory.

    Attributes:
        rows: Each source taken so far, as connections take it: (N h w, C); ``G`` is (N, C).
        weights: Weights of each source that belongs to blocks: (n, K, C), stacked over its n users.
        maps: For each stage not yet summed, by stride, what it has got: (N h w, K).
        vectors: For each stage not yet summed, what is the same everywhere: (N or 1, K).
    """

    def __init__(self, head: FusionHead, features: Sequence[Tensor]) -> None:
        self.head = head
        self.strides = head.connectivity.strides
        self.features = features
        self.alone = head.sources_alone(features)
        self.connection_weights = head.weights_by_source()
        self.blocks = plan_blocks(head.stages, self.strides, self.alone)
        self.rows: dict[str, Tensor] = {}
        self.weights: dict[str, Tensor] = {}
        self.maps: dict[str, dict[int, Tensor]] = {stage: {} for stage in head.stages}
        self.vectors: dict[str, list[Tensor]] = {stage: [] for stage in head.stages}

    def run(self) -> Tensor:
        """Logits."""
        for stage, sources in self.head.stages.items():
            for source in sources:
                if source not in self.rows:
                    self._take(source, self.head.activated_feature(self._feature(source)))
            for block in self.blocks:
                if block.stages[0] == stage:
                    self._multiply(block)
            norm = self.head.norms[stage]
            # Who watches the normalisation may keep what it gives.
            act = self.head.act if norm._forward_hooks else self.head.act_in_place
            activated = act(norm(self._sum(stage)))
            if stage in self.head.users:
                self._take(stage, activated)
        return self.head.cls_seg(activated)

    def _feature(self, source: str) -> Tensor:
        if source == GLOBAL:
            return self.features[-1].mean((2, 3), keepdim=True)
        return self.features[level_of(source) - 1]

    def _take(self, source: str, activated: Tensor) -> None:
        """Get the weights of a source for its blocks or, if it stands alone, its products."""
        rows = self.rows[source] = as_rows(activated)
        self.head.start(source, rows)
        users = self.head.users[source]
        given = self.connection_weights.get(source)
        origin = self.head.origin(rows)
        if origin is not None:
            rows = self.rows[source] = rows - origin
        if source in self.alone:
            product = self.head.weighted_product(source, rows, given, origin)
            for stage, part in zip(users, _parts(product, len(users))):
                if source == GLOBAL:
                    self.vectors[stage].append(part)
                else:
                    self._add_map(stage, self.strides[level_of(source) - 1], part)
            return
        weight, bias = self.head.folded_weight(source, rows, given, origin)
        self.weights[source] = weight.view(len(users), self.head.channels, -1)
        if bias is not None:
            for stage, part in zip(users, bias.view(1, len(users), -1).unbind(1)):
                self.vectors[stage].append(part)

    def _multiply(self, block: Block) -> None:
        """Give a block's stages the sum of its products, accumulated in place."""
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
        """Weights of a source for some of its users, stacked: (n K, C)."""
        users = self.head.users[source]
        first = users.index(stages[0])
        if users[first : first + len(stages)] == tuple(stages):
            return self.weights[source][first : first + len(stages)].flatten(0, 1)
        return torch.cat([self.weights[source][users.index(stage)] for stage in stages])

    def _sum(self, stage: str) -> Tensor:
        """A stage before its normalisation: (N, K, h, w)."""
        like = self.features[level_of(stage) - 1]
        maps, vectors = self.maps.pop(stage), self.vectors.pop(stage)
        own, others = None, []
        if vectors:
            vector = sum(vectors[1:], vectors[0])[:, None]
            if maps:
                # Bilinear weights sum to one, so the vector may join where that is cheapest.
                coarsest = max(maps)
                per_image = maps[coarsest].view(len(like), -1, vector.shape[-1])
                maps[coarsest] = (per_image + vector.to(per_image.dtype)).flatten(0, 1)
            else:
                positions = like.shape[-2] * like.shape[-1]
                own = vector.expand(len(like), positions, -1).flatten(0, 1)
        for stride, rows in maps.items():
            source = self.features[self.strides.index(stride)]
            if source.shape[-2:] == like.shape[-2:]:
                own = rows if own is None else own + rows
            else:
                others.append(as_map(rows, source))
        return self.head.convs[stage](own, others, like, self.head.align_corners)

    def _add_map(self, stage: str, stride: int, part: Tensor) -> None:
        maps = self.maps[stage]
        maps[stride] = maps[stride] + part if stride in maps else part


def _parts(product: Tensor, count: int) -> Sequence[Tensor]:
    """Columns of a product by user. One user gets the product itself, which it may overwrite."""
    return (product,) if count == 1 else product.chunk(count, 1)
