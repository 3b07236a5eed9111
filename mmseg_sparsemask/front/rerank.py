"""Scores of decoders after a short training: they say more about a long one than inherited ones."""

from __future__ import annotations

import functools
import math
import time
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from mmengine.model import revert_sync_batchnorm
from torch import Tensor

from mmseg_sparsemask.connectivity import Connectivity
from mmseg_sparsemask.front.images import Images, Network, training_images
from mmseg_sparsemask.front.scorer import note, noted_lines, segmentation_loss
from mmseg_sparsemask.models.decode_heads import FDNHead, SparseMaskHead
from mmseg_sparsemask.models.decode_heads.upsampling import upsample
from mmseg_sparsemask.models.inheritance import decoder_like
from mmseg_sparsemask.search.saved_search import HEAD_SETTINGS
from mmseg_sparsemask.utils.commands import clock
from mmseg_sparsemask.utils.repeatable import fingerprint_key

#: Learning rate and images in a batch. From a balanced start one rate does for all decoders.
RATE, BATCH = 0.3, 8

#: Seconds between two lines of progress.
QUIET = 10.0


def settings_of(head: FDNHead) -> list[Any]:
    """What the scores of a supernet's parts depend on besides weights and images."""
    names = (*HEAD_SETTINGS, 'ignore_index', 'connections_cfg')
    return [getattr(head, name, None) for name in names]


class ShortTrainings:
    """Scores decoders by their loss on images held back, after a short training from scratch.

    The encoder learns nothing: its features of training images are computed once. Every decoder
    starts from the same seed and sees the same batches. What was scored is noted in a file at once,
    and is not trained again.

    Args:
        network: Of the supernet.
        head: The supernet.
        images: Those that are held back.
        iterations: Of each training.
        folder: Where the notes are.

    Attributes:
        expected: How many trainings there will be at most, for the time that is left.
    """

    def __init__(
        self,
        network: Network,
        head: FDNHead,
        images: Images,
        iterations: int,
        folder: Path,
    ) -> None:
        self.network, self.head, self.images = network, head, images
        self.iterations, self.expected = iterations, 0
        self._start = self._said = time.perf_counter()
        data = network.cfg.train_dataloader.dataset
        key = fingerprint_key(
            {'of': [images.key, data, iterations, RATE, BATCH, settings_of(head)]}
        )
        self.notes = folder / f'trained_{key}.jsonl'
        self._noted = {
            Connectivity(head.connectivity.strides, line['stages']): float(line['loss'])
            for line in noted_lines(self.notes)
        }
        #: What was scored so far, in this run.
        self.losses: dict[Connectivity, float] = {}

    def loss(self, connectivity: Connectivity) -> float:
        """Mean loss of a decoder on both halves of the images, after its training.

        Infinite where the training diverged: what is no number would have no rank.
        """
        if connectivity not in self._noted:
            self._noted[connectivity] = self._trained_loss(connectivity)
            note(self.notes, connectivity, loss=self._noted[connectivity])
        if connectivity not in self.losses:
            self.losses[connectivity] = self._noted[connectivity]
            self._tick()
        return self.losses[connectivity]

    #: The training is what takes time: there is no cheaper one.
    first_loss = loss

    def _tick(self) -> None:
        now, done = time.perf_counter(), len(self.losses)
        if now - self._said > QUIET and done < self.expected:
            self._said = now
            eta = clock((now - self._start) * (self.expected - done) / done)
            print(f'{done} of up to {self.expected} short trainings, eta {eta}', flush=True)

    @functools.cached_property
    def _crops(self) -> Images:
        return training_images(self.network)

    def _trained_loss(self, connectivity: Connectivity) -> float:
        decoder = self._trained(connectivity)
        with torch.no_grad():
            loss = fmean(
                float(self._loss(decoder, half.features, half.labels))
                for half in self.images.halves()
            )
        return loss if math.isfinite(loss) else math.inf

    def _trained(self, connectivity: Connectivity) -> SparseMaskHead:
        crops = self._crops
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            decoder = decoder_like(self.head, connectivity, SparseMaskHead)
            decoder = revert_sync_batchnorm(decoder).train()
            optimiser = torch.optim.SGD(decoder.parameters(), RATE, momentum=0.9)
            schedule = torch.optim.lr_scheduler.PolynomialLR(optimiser, self.iterations, 0.9)
            for _ in range(self.iterations):
                places = torch.randperm(len(crops.labels))[:BATCH]
                features = [level[places] for level in crops.features]
                loss = self._loss(decoder, features, crops.labels[places])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
        return decoder.eval()

    def _loss(self, decoder: SparseMaskHead, features: list[Tensor], labels: Tensor) -> Tensor:
        size = (int(labels.shape[-2]), int(labels.shape[-1]))
        logits = upsample(decoder.decode(features), size, decoder.align_corners)
        return segmentation_loss(logits, labels, decoder.ignore_index)
