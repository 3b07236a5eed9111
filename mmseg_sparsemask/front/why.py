"""Why a decoder has a connection: what the validation score loses without it, or gains by it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import torch
from mmseg.structures import SegDataSample
from tqdm import tqdm

from mmseg_sparsemask.compare.ious import confusion, ious
from mmseg_sparsemask.connectivity import Connection, Connectivity
from mmseg_sparsemask.front.descent import part_of
from mmseg_sparsemask.front.images import Validation, validation_images
from mmseg_sparsemask.front.scorer import Scorer, note, noted_lines
from mmseg_sparsemask.front.supernet import Supernet
from mmseg_sparsemask.models.decode_heads.fusion_head import FusionHead
from mmseg_sparsemask.utils.files import csv_text, write_atomically
from mmseg_sparsemask.utils.repeatable import fingerprint_key


class Change(NamedTuple):
    """What becomes of a decoder when a single connection is cut, or added.

    Attributes:
        connection: The connection.
        kept: Whether the decoder has it: then it is cut, else added.
        miou: Change of the mean IoU, in points; None where nothing would be left.
        classes: Change of the IoU of each class, in points; None where it does not occur.
    """

    connection: Connection
    kept: bool
    miou: float | None
    classes: tuple[float | None, ...]


class Validator:
    """IoU of parts of a supernet on validation images.

    Each part has the statistics of its own activations on the images that are held back, as in its
    ``pruned.pth``. What was computed is noted in a file at once, and is not computed again.

    Args:
        scorer: Gives the parts their statistics.
        validation: What to validate on.
        notes: File of earlier results on the same images, or where to note them.
    """

    def __init__(self, scorer: Scorer, validation: Validation, notes: Path) -> None:
        self.scorer, self.validation, self.notes = scorer, validation, notes
        self._known = {
            scorer.graph(line['stages']): [math.nan if v is None else v for v in line['ious']]
            for line in noted_lines(notes)
        }

    @property
    def space(self) -> Connectivity:
        """The search space."""
        return self.scorer.head.connectivity

    def ious(self, part: Connectivity) -> list[float]:
        """IoU of each class in percent; NaN for one that neither occurs nor is predicted."""
        if part not in self._known:
            head = self.scorer.with_statistics(part)
            with head.cut_to(part):
                self._known[part] = validated_ious(head, self.validation)
            known = [None if math.isnan(v) else v for v in self._known[part]]
            note(self.notes, part, ious=known)
        return self._known[part]


@torch.no_grad()
def validated_ious(head: FusionHead, validation: Validation) -> list[float]:
    """IoU of each class in percent; NaN for one that neither occurs nor is predicted."""
    table: Any = 0
    for features, labels, metas in validation.batches:
        logits = head.predict_by_feat(head.decode(features), metas)
        samples = [SegDataSample(metainfo=meta) for meta in metas]
        for sample, label in zip(validation.network.postprocess_result(logits, samples), labels):
            found, valid = sample.pred_sem_seg.data[0], label != head.ignore_index
            table = table + confusion(label[valid], found[valid], head.num_classes)
    return ious(table).tolist()


def mean_iou(ious: Sequence[float]) -> float:
    """Mean over the classes that occur; 0 if none does."""
    return fmean([iou for iou in ious if not math.isnan(iou)] or [0.0])


def variants(
    part: Connectivity, space: Connectivity
) -> list[tuple[Connection, bool, Connectivity | None]]:
    """A decoder with one connection less, or one more, for every connection that can be.

    What a cut leaves without use goes with it. What can be added leads to a stage that is there,
    from a source that is there.

    Args:
        part: The decoder.
        space: What it was taken from.

    Returns:
        Connection, whether the decoder has it, and what is left or becomes of the decoder.
    """
    kept, found = set(part), []
    for connection in space:
        if connection in kept:
            found.append((connection, True, part_of(part, kept - {connection}, part.end)))
        elif connection.stage in part.stages and (
            connection.source[0] != 'D' or connection.source in part.stages
        ):
            larger = Connectivity.from_connections(part.strides, kept | {connection})
            found.append((connection, False, larger))
    return found


def explain(
    validator: Validator, part: Connectivity, tick: Callable[[], object] = lambda: None
) -> list[Change]:
    """What each connection is worth to a decoder.

    Args:
        validator: Gives the scores.
        part: The decoder.
        tick: Called after each connection.
    """
    before, changes = validator.ious(part), []
    for connection, kept, changed in variants(part, validator.space):
        if changed is None:
            changes.append(Change(connection, kept, None, (None,) * len(before)))
        else:
            after = validator.ious(changed)
            rises = [a - b for a, b in zip(after, before)]
            changes.append(
                Change(
                    connection,
                    kept,
                    round(mean_iou(after) - mean_iou(before), 3),
                    tuple(None if math.isnan(rise) else round(rise, 2) for rise in rises),
                )
            )
        tick()
    return changes


def validator_of(supernet: Supernet) -> Validator | None:
    """What validates parts of a supernet; None where nothing was asked for.

    Raises:
        ValueError: There is no validation, or none of whole images; the images are not here.
    """
    if not supernet.settings.why:
        return None
    images = validation_images(supernet.network, supernet.settings.why)
    key = fingerprint_key({'of': [supernet.scorer.notes.name, images.key]})
    return Validator(supernet.scorer, images, supernet.folder / f'why_{key}.jsonl')


def explain_all(
    points: Sequence[tuple[Validator | None, Connectivity]],
) -> list[list[Change]]:
    """What each connection is worth to each of some decoders, with the time that is left.

    Args:
        points: Decoders with what validates them.

    Returns:
        For each; empty lists where nothing was asked for.
    """
    total = sum(len(variants(graph, v.space)) for v, graph in points if v)
    with tqdm(total=total, desc='connections', disable=not total) as bar:
        return [explain(v, graph, bar.update) if v else [] for v, graph in points]


def write_changes(path: Path, changes: Sequence[Change], classes: Sequence[str]) -> None:
    """Write ``why.csv``: a row for each connection, with a column for each class."""
    header = ['source', 'stage', 'change', 'mIoU', *classes]
    rows = [
        [*change.connection, 'cut' if change.kept else 'added', change.miou, *change.classes]
        for change in changes
    ]
    write_atomically(path, csv_text(header, rows))
