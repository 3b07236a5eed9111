"""The deployed form: 1x1 convolutions, resizes and activations, and nothing else.

A trained decoder is linear between its activations, so what the equations write as normalisations
and connection weights is folded into weights once and for all::

    D_l = sum_r up( conv_l^r( cat( act(t) for sources t of resolution r ) ) )

with one convolution for each (stage, resolution). ``G``, which has one position an image, is a
resolution of its own; it is added to the coarsest map and never resized.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from mmengine.model import revert_sync_batchnorm
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor, nn

from mmseg_sparsemask.connectivity import GLOBAL, Connectivity, DecoderShape
from mmseg_sparsemask.connectivity.graph import level_of, resolution_groups
from mmseg_sparsemask.deployment.folding import connection_weights, fold_norms, fold_stage
from mmseg_sparsemask.deployment.padding import use_same_convs
from mmseg_sparsemask.deployment.resizing import PRODUCT_RATIO, Resizing, resize
from mmseg_sparsemask.deployment.strips import (
    GRAPH_STRIPS,
    Factors,
    classify_strips_in_graph,
    is_exporting,
    multiplied,
    stage_in_strips,
)
from mmseg_sparsemask.models.backbones.probing import image_channels
from mmseg_sparsemask.models.decode_heads.activations import in_place
from mmseg_sparsemask.models.decode_heads.fusion_head import FusionHead
from mmseg_sparsemask.models.decode_heads.upsampling import as_map, as_rows, strips_pay


class Pointwise(nn.Linear):
    """A 1x1 convolution as one matrix product: weight (K, C), maps (N, C, h, w) to (N, K, h, w).

    ONNX Runtime brings maps into a layout of its own for convolutions and back for all else; at
    full size those copies cost as much as the convolutions. Products need none.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """See the class."""
        exporting = torch.compiler.is_compiling()
        if not exporting and maps.is_contiguous(memory_format=torch.channels_last):
            return super().forward(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        product = torch.matmul(self.weight, maps.flatten(2))
        if self.bias is not None:
            product = product + self.bias[:, None]
        return product.unflatten(2, maps.shape[2:])


class DeployedDecoder(nn.Module):
    """A decoder of 1x1 convolutions, activations and resizes.

    `deployed_decoder` makes one of a trained head. Its modules are ``convs.<stage>.<resolution>``,
    ``classifier`` and the activation.

    Args:
        connectivity: The decoder's graph.
        shape: Channels of features and stages, and of the logits.
        in_index: Places of the features in the tuple that the backbone gives.
        act: Activation of the stages.
        act_encoder: Whether encoder features are activated, too.
        align_corners: Whether corners are aligned in the resizing.
    """

    def __init__(
        self,
        connectivity: Connectivity,
        shape: DecoderShape,
        in_index: Sequence[int],
        act: nn.Module,
        act_encoder: bool,
        align_corners: bool,
    ) -> None:
        super().__init__()
        self.connectivity = connectivity
        self.in_index = tuple(in_index)
        self.align_corners = align_corners
        self.groups = {
            stage: resolution_groups(connectivity, stage) for stage in connectivity.stages
        }
        self.convs = nn.ModuleDict(
            {
                stage: nn.ModuleDict(
                    {
                        group.name: Pointwise(
                            sum(map(shape.source_channels, group.sources)),
                            shape.channels,
                            # Constants pass the resizing, so one bias serves the whole stage; it
                            # costs least where the map is smallest.
                            bias=group.stride == max(g.stride for g in groups),
                        )
                        for group in groups
                    }
                )
                for stage, groups in self.groups.items()
            }
        )
        self.classifier = Pointwise(shape.channels, shape.num_classes)
        self.act = act
        self.act_encoder = act_encoder
        self.act_in_place = in_place(act)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits (N, classes, h, w) of the size of the decoder's end.

        Args:
            inputs: What the backbone gives; ``in_index`` picks ``E1`` .. ``EL`` from it. Item i is
                (N, C_i, H/s_i, W/s_i), any size.
        """
        features = [inputs[index] for index in self.in_index]
        eager = strips_pay(features[0]) and not torch.is_grad_enabled()
        if eager:
            # Once, and not for each stage that reads them.
            features = [f.contiguous(memory_format=torch.channels_last) for f in features]
        active = {
            source: _encoder_feature(source, features)
            for source in self.connectivity.sources()
            if source not in self.groups
        }
        if self.act_encoder:
            active = {source: self.act(feature) for source, feature in active.items()}
        for stage in self.groups:
            if eager:
                parts = self._parts(stage, active)
                like = features[level_of(stage) - 1]
                classifier = self.classifier if stage == self.connectivity.end else None
                active[stage] = stage_in_strips(
                    *parts, like, self.act_in_place, self.align_corners, classifier
                )
            elif stage == self.connectivity.end and is_exporting() and self.graph_strips > 1:
                terms = self._terms(stage, active, features)
                height = features[level_of(stage) - 1].shape[-2]
                return classify_strips_in_graph(
                    *terms, self.act, self.classifier, height, self.graph_strips
                )
            else:
                active[stage] = self.act(self._stage(stage, active, features))
        last = active[self.connectivity.end]
        return last if eager else self.classifier(last)

    @property
    def graph_strips(self) -> int:
        """Strips of the last stage in an exported file, of two rows wherever `E_L` has two."""
        graph = self.connectivity
        return max(1, min(GRAPH_STRIPS, max(graph.strides) // graph.stride_of(graph.end)))

    def _stage(self, stage: str, active: dict[str, Tensor], features: list[Tensor]) -> Tensor:
        fine, maps, coarse = self._terms(stage, active, features)
        terms = [conv(joined) for joined, conv in fine] + maps
        if coarse is not None:
            terms.append(coarse.sum())
        return sum(terms[1:], terms[0])

    def _terms(
        self, stage: str, active: dict[str, Tensor], features: list[Tensor]
    ) -> tuple[list[tuple[Tensor, nn.Module]], list[Tensor], Resizing | None]:
        """What a stage is the sum of, at its own size (H, W).

        Returns:
            Sources of that size, (N, C, H, W), and their convolution, in a list of one or none;
            maps (N, K, H, W); the sum of coarse maps.
        """
        size = features[level_of(stage) - 1].shape[-2:]
        own = self.connectivity.stride_of(stage)
        fine, products = [], {}
        for group in self.groups[stage]:
            sources = [active[source] for source in group.sources]
            joined = sources[0] if len(sources) == 1 else torch.cat(sources, 1)
            conv = self.convs[stage][group.name]
            if group.stride == own:
                fine.append((joined, conv))
            else:
                products[group.stride] = conv(joined)
        constant = products.pop(math.inf, None)
        if constant is not None and products:
            products[max(products)] = products[max(products)] + constant
            constant = None
        coarse = [products.pop(s) for s in list(products) if s >= PRODUCT_RATIO * own]
        maps = [resize(product, size, self.align_corners) for product in products.values()]
        if constant is not None:
            maps.append(constant.expand(-1, -1, *size))
        return fine, maps, Resizing(coarse, size, self.align_corners) if coarse else None

    def _parts(self, stage: str, active: dict[str, Tensor]) -> tuple[Factors | None, list[Tensor]]:
        """What a stage is the sum of, to be added up in place.

        Returns:
            What to multiply for sources of its own size, None without any; products of the coarser
            ones, (N, K, h, w), where that of ``G`` joins the coarsest.
        """
        own, maps = None, {}
        for group in self.groups[stage]:
            conv = self.convs[stage][group.name]
            sources = [active[source] for source in group.sources]
            weights = conv.weight.t().split([source.shape[1] for source in sources])
            factors = [as_rows(source) for source in sources], weights, conv.bias
            if group.stride == self.connectivity.stride_of(stage):
                own = factors
            else:
                maps[group.stride] = as_map(multiplied(factors), sources[0])
        if len(maps) > 1 and math.inf in maps:
            constant = maps.pop(math.inf)
            maps[max(maps)] += constant
        return own, list(maps.values())


class DeployedSegmentor(nn.Module):
    """Backbone, decoder, and logits at the size of the image; `deployed_segmentor` makes one.

    Args:
        backbone: Gives the features of images (N, 3, H, W).
        decoder: Gives logits of any size from them.
        align_corners: Whether corners are aligned in the logits' resizing.
    """

    def __init__(self, backbone: nn.Module, decoder: nn.Module, align_corners: bool) -> None:
        super().__init__()
        self.backbone = backbone
        self.decoder = decoder
        self.align_corners = align_corners

    def forward(self, image: Tensor) -> Tensor:
        """Logits (N, classes, H, W) of normalised images (N, 3, H, W)."""
        logits = self.decoder(self.backbone(image))
        if not isinstance(logits, Tensor):
            raise ValueError(
                f'expected a decode head that gives a map of logits, got {type(logits).__name__} '
                f'from {type(self.decoder).__name__}, which is not exported'
            )
        return resize(logits, image.shape[-2:], self.align_corners)


@torch.no_grad()
def deployed_decoder(head: FusionHead) -> DeployedDecoder:
    """The deployed form of a `SparseMaskHead`, or of an `FDNHead` with the weights it has now.

    Args:
        head: Its running statistics count, whatever mode it is in; it is not changed.

    Raises:
        ValueError: A stage's normalisation has no running statistics, or another head was given.
    """
    if not isinstance(head, FusionHead):
        raise ValueError(
            f'expected a SparseMaskHead or an FDNHead, got {type(head).__name__}, which has no '
            'connectivity to make a plain decoder of'
        )
    head = copy.deepcopy(head).eval()
    decoder = DeployedDecoder(
        head.connectivity,
        head.shape,
        head.in_index,
        head.act,
        head.act_encoder,
        head.align_corners,
    ).to(head.conv_seg.weight)
    weights = connection_weights(head)
    for stage, groups in decoder.groups.items():
        scale, shift = fold_stage(stage, head.norms[stage])
        biases = [weights[source, stage][1] for source in head.connectivity.stages[stage]]
        bias = shift + scale * sum(biases)
        for group in groups:
            conv = decoder.convs[stage][group.name]
            weight = torch.cat([weights[source, stage][0] for source in group.sources], 1)
            conv.weight.copy_(scale[:, None] * weight)
            if conv.bias is not None:
                conv.bias.copy_(bias)
    decoder.classifier.weight.copy_(head.conv_seg.weight.flatten(1))
    decoder.classifier.bias.copy_(head.conv_seg.bias)
    return decoder.eval().requires_grad_(False)


@torch.no_grad()
def deployed_segmentor(
    model: EncoderDecoder, image_size: tuple[int, int] = (64, 64)
) -> DeployedSegmentor:
    """The deployed form of a whole segmentor: normalised images in, logits at their size out.

    The backbone's and the neck's normalisations fold into the convolutions before them. A decode
    head of another kind is taken as it is, with its normalisations folded.

    Args:
        model: A toolbox model; it is not changed. Its running statistics count, whatever its mode.
        image_size: (height, width) of the image that is run through it once, to see which
            normalisation follows which convolution.

    Raises:
        ValueError: Not an `EncoderDecoder`, or a head whose output is no map of logits.
    """
    if not isinstance(model, EncoderDecoder) or isinstance(model.decode_head, nn.ModuleList):
        raise ValueError(
            'expected a toolbox EncoderDecoder with one decode_head, got '
            f'{type(model).__name__}; other segmentors are not exported'
        )
    model = revert_sync_batchnorm(copy.deepcopy(model)).eval().requires_grad_(False)
    use_same_convs(model)
    features = nn.Sequential(model.backbone, *([model.neck] if model.with_neck else []))
    head = model.decode_head
    decoder = deployed_decoder(head) if isinstance(head, FusionHead) else head
    segmentor = DeployedSegmentor(features, decoder, model.align_corners).eval()
    some = next(segmentor.parameters())
    channels = image_channels(model.backbone)
    fold_norms(segmentor, torch.zeros(1, channels, *image_size).to(some))
    return segmentor.requires_grad_(False)


def _encoder_feature(source: str, features: Sequence[Tensor]) -> Tensor:
    if source == GLOBAL:
        return features[-1].mean((2, 3), keepdim=True)
    return features[level_of(source) - 1]
