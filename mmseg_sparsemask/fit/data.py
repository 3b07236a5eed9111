"""What a folder of images and one of masks hold, as a data set of the toolbox."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmseg_sparsemask.datasets.palette import voc_palette
from mmseg_sparsemask.datasets.reading import by_stem, image_size, read_indices
from mmseg_sparsemask.utils.files import write_atomically

VOID = 255


@dataclass(frozen=True)
class FolderData:
    """Images with masks, looked at and divided.

    Attributes:
        classes: Names of the labels 0, 1, ...
        palette: Red, green and blue of each class.
        counts: Number of images of each split: ``train``, ``val`` and perhaps ``test``.
        image_size: Median height and width.
        class_shares: Share of each class among the labelled pixels of ``train``.
        void_share: Share of the pixels of ``train`` that are ignored.
        warnings: What a user should know before training.
    """

    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    counts: dict[str, int]
    image_size: tuple[int, int]
    class_shares: tuple[float, ...]
    void_share: float
    warnings: tuple[str, ...]
    _seen: tuple[str, ...]
    _files: dict[str, Any]
    _lists: dict[str, str]

    def lines(self) -> list[str]:
        """What was seen, to be printed."""
        return [*self._seen, *(f'warning: {text}' for text in self.warnings)]

    def dataset(self, split: str) -> dict[str, Any]:
        """Settings of a ``BaseSegDataset`` for a split, without a pipeline."""
        return dict(
            type='BaseSegDataset',
            ann_file=self._lists[split],
            **self._files,
            metainfo=dict(classes=list(self.classes), palette=[list(c) for c in self.palette]),
            reduce_zero_label=False,
            ignore_index=VOID,
        )


def look(
    images: str | Path,
    masks: str | Path,
    out: str | Path,
    classes: str | Path | Sequence[str] | None = None,
) -> FolderData:
    """Look at every image and every mask, and write down which belong to which split.

    Args:
        images: Folder of images.
        masks: Folder of masks.
        out: Folder to write to, ``data`` below it.
        classes: Names, joined by commas or not, or a file with one a line.

    Raises:
        ValueError: What would train wrongly.
    """
    pictures = by_stem(images, ('.jpg', '.png'))
    labels = by_stem(masks, ('.png',))
    stems = sorted(pictures.keys() & labels.keys())
    counts, sizes = np.zeros((2, 256), int), []
    splits: dict[str, list[str]] = {'train': [], 'val': []}
    for stem in stems:
        split = 'val' if hashlib.sha256(stem.encode()).digest()[0] < 51 else 'train'
        splits[split].append(stem)
        sizes.append(image_size(pictures[stem]))
        counts[split == 'val'] += np.bincount(read_indices(labels[stem]).ravel(), minlength=256)
    if isinstance(classes, str):
        classes = classes.split(',')
    seen = counts[:, :VOID].sum(0).nonzero()[0]
    names = tuple(classes or map(str, range(seen.max() + 1)))
    folder = Path(out).absolute() / 'data'
    folder.mkdir(parents=True, exist_ok=True)
    for split, held in splits.items():
        write_atomically(folder / f'{split}.txt', '\n'.join(held) + '\n')
    train = counts[0, : len(names)]
    return FolderData(
        classes=names,
        palette=tuple(voc_palette(len(names))),
        counts={split: len(held) for split, held in splits.items()},
        image_size=tuple(int(n) for n in np.median(sizes, axis=0)),
        class_shares=tuple((train / train.sum()).tolist()),
        void_share=float(counts[0, VOID] / counts[0].sum()),
        warnings=(),
        _seen=(f'{len(stems)} images with masks',),
        _files=dict(
            data_prefix=dict(
                img_path=str(Path(images).absolute()), seg_map_path=str(Path(masks).absolute())
            ),
            img_suffix=pictures[stems[0]].suffix,
            seg_map_suffix='.png',
        ),
        _lists={split: str(folder / f'{split}.txt') for split in splits},
    )
