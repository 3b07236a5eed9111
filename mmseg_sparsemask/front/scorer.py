"""Scores of parts of a supernet: the loss on images, with statistics of their own."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import revert_sync_batchnorm
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmseg_sparsemask.compare.ious import confusion, ious
from mmseg_sparsemask.connectivity import GLOBAL, Connection, Connectivity, to_dict
from mmseg_sparsemask.connectivity.graph import level_of
from mmseg_sparsemask.front.images import Images
from mmseg_sparsemask.models.decode_heads import FDNHead
from mmseg_sparsemask.models.decode_heads.upsampling import upsample
from mmseg_sparsemask.utils.files import write_atomically


class FixedWeights(nn.Module):
    """A supernet's connection weights as they are in evaluation, in place of their rule.

    Args:
        head: The supernet.
    """

    def __init__(self, head: FDNHead) -> None:
        super().__init__()
        scales = head.connections.weights_in_pass(None).items()
        self.raw = nn.ParameterDict({s: nn.Parameter(w.detach().clone()) for s, w in scales})

    def forward(self) -> dict[str, Tensor]:
        """By stage: (n_l,)."""
        return dict(self.raw.items())

    def weights_in_pass(self, noise: None) -> dict[str, Tensor]:
        """By stage: (n_l,); what a `ConnectionRule` gives in evaluation."""
        return self()

    def weights(self) -> dict[str, Tensor]:
        """By stage: (n_l,); what a `ConnectionRule` says of its connections."""
        return self()


class Scorer:
    """Scores parts of a supernet by their loss on two halves of images.

    Each part is computed with the statistics of its own activations: running ones belong to no
    part. What was scored is noted in a file at once, and is not computed again.

    Args:
        head: The supernet; it is not changed.
        images: What to score on.
        notes: File of earlier scores of the same supernet and images, or where to note them.

    Raises:
        ValueError: The weights of the supernet are not numbers.
    """

    def __init__(self, head: FDNHead, images: Images, notes: Path) -> None:
        head.connection_weights()  # an error if they are no numbers
        if not all(parameter.isfinite().all() for parameter in head.parameters()):
            raise ValueError('the supernet has weights that are not numbers: its training diverged')
        self.head = revert_sync_batchnorm(copy.deepcopy(head)).train().requires_grad_(False)
        self.head.connections = FixedWeights(head)
        self.head.dropout = None
        for norm in self.head.modules():
            if isinstance(norm, _BatchNorm):
                norm.momentum = 0.0
        self.images = images
        self.notes = notes
        #: What was scored so far, in this run: losses on both halves.
        self.losses: dict[Connectivity, tuple[float, float]] = {}
        self._noted: dict[tuple[Connectivity, int], float] = {}
        self._importance: dict[Connectivity, dict[Connection, float]] = {}
        for line in noted_lines(notes):
            graph = self.graph(line['stages'])
            if 'loss' in line:
                self._noted[graph, line['half']] = line['loss']
            else:
                self._importance[graph] = dict(zip(graph, line['importance']))

    def loss(self, connectivity: Connectivity) -> float:
        """Mean loss of a part on both halves."""
        halves = self.first_loss(connectivity), self._half_loss(connectivity, 1)
        self.losses[connectivity] = halves
        return sum(halves) / 2

    def first_loss(self, connectivity: Connectivity) -> float:
        """Loss of a part on the first half, which rules out hopeless parts at half the price."""
        return self._half_loss(connectivity, 0)

    def importance(self, connectivity: Connectivity) -> dict[Connection, float]:
        """By how much the loss would rise without each connection, to first order.

        That is ``-w dL/dw`` (Molchanov et al., "Importance estimation for neural network pruning",
        CVPR 2019), on a quarter of the images: it only says which decoders are worth scoring.
        """
        if connectivity not in self._importance:
            weights = [self.head.connections.raw[stage] for stage in connectivity.stages]
            for weight in weights:
                weight.requires_grad_(True)
            quarter = slice(max(2, len(self.images.labels) // 4))
            loss = self._loss(connectivity, self.images.part(quarter))
            found = {}
            slopes = torch.autograd.grad(loss, weights)
            for stage, weight, slope in zip(connectivity.stages, weights, slopes):
                weight.requires_grad_(False)
                rises = (-weight * slope).tolist()
                for source, rise in zip(self.head.connectivity.stages[stage], rises):
                    if source in connectivity.stages[stage]:
                        found[Connection(source, stage)] = rise
            self._importance[connectivity] = found
            note(self.notes, connectivity, importance=list(found.values()))
        return self._importance[connectivity]

    def chance(self) -> float:
        """Loss of a constant guess, the share of each class: what a decoder must beat."""
        labels = self.images.labels
        labels = labels[labels != self.head.ignore_index]
        shares = torch.bincount(labels.flatten()).double() / max(labels.numel(), 1)
        return float(torch.special.entr(shares).sum())

    @torch.no_grad()
    def miou(self, connectivity: Connectivity) -> float:
        """Mean IoU of a part on the images, in percent, over the classes that occur."""
        head, table = self.head, 0
        for images in self.images.halves():
            logits = self._logits(connectivity, images)
            if logits.shape[1] == 1:
                found = (logits.sigmoid() > head.threshold)[:, 0]
            else:
                found = logits.argmax(1)
            valid = images.labels != head.ignore_index
            table = table + confusion(images.labels[valid], found[valid], head.num_classes)
        return float(ious(table)[table.sum(1) > 0].mean())

    @torch.no_grad()
    def with_statistics(self, connectivity: Connectivity) -> FDNHead:
        """The supernet with the statistics of a part of it on the images, and all else cut.

        So in evaluation it gives these images the logits that it gives them in training: running
        variances are those of a batch, and not, as usual, an estimate for the images to come.

        Returns:
            In evaluation mode. `pruned_head` makes the part's decoder of it.
        """
        head = copy.deepcopy(self.head)
        for norm in head.modules():
            if isinstance(norm, _BatchNorm):
                norm.reset_running_stats()
                norm.momentum = 1.0
        with head.cut_to(connectivity):
            head.decode(self.images.features)
        for name, norm in [*head.connection_norms.items(), *head.norms.items()]:
            count = self._positions(name)
            norm.running_var.mul_((count - 1) / count)
        for stage, sources in head.connectivity.stages.items():
            for place, source in enumerate(sources):
                if (source, stage) not in connectivity:
                    head.connections.raw[stage][place] = 0.0
        return head.eval()

    def _positions(self, name: str) -> int:
        """Number of positions, over all images, of a feature or stage."""
        features = self.images.features
        if name == GLOBAL:
            return len(features[0])
        feature = features[level_of(name) - 1]
        return feature.numel() // feature.shape[1]

    @torch.no_grad()
    def _half_loss(self, connectivity: Connectivity, half: int) -> float:
        key = connectivity, half
        if key not in self._noted:
            self._noted[key] = float(self._loss(connectivity, self.images.halves()[half]))
            note(self.notes, connectivity, half=half, loss=self._noted[key])
        return self._noted[key]

    def _loss(self, connectivity: Connectivity, images: Images) -> Tensor:
        logits = self._logits(connectivity, images)
        return segmentation_loss(logits, images.labels, self.head.ignore_index)

    def _logits(self, connectivity: Connectivity, images: Images) -> Tensor:
        with self.head.cut_to(connectivity):
            logits = self.head.decode(images.features)
        return upsample(logits, images.size, self.head.align_corners)

    def graph(self, stages: Mapping[str, Sequence[str]]) -> Connectivity:
        """A part of the supernet, as notes have it."""
        return Connectivity(self.head.connectivity.strides, stages)


def segmentation_loss(logits: Tensor, labels: Tensor, ignored: int) -> Tensor:
    """Cross-entropy of labels that count; binary where there is one channel.

    Args:
        logits: (N, C, H, W).
        labels: (N, H, W).
        ignored: The label that does not count.
    """
    if logits.shape[1] > 1:
        return F.cross_entropy(logits, labels, ignore_index=ignored)
    valid = labels != ignored
    wanted = labels[valid].to(logits.dtype)
    return F.binary_cross_entropy_with_logits(logits[:, 0][valid], wanted)


def note(path: Path, part: Connectivity, **found: float | Sequence[float | None]) -> None:
    """Add a line to notes: a part of a supernet, and what was computed for it."""
    with path.open('a', encoding='utf-8') as file:
        file.write(json.dumps({'stages': to_dict(part)['stages'], **found}) + '\n')


def noted_lines(path: Path) -> list[dict[str, Any]]:
    """What earlier runs have noted; a line that a killed run did not finish is removed."""
    text = path.read_text(encoding='utf-8') if path.is_file() else ''
    lines = text.split('\n')
    if lines.pop():
        write_atomically(path, '\n'.join([*lines, '']))
    return [json.loads(line) for line in lines]
