"""What a data set of the toolbox lists."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmseg.datasets import BaseSegDataset


def data_items(
    dataset: BaseSegDataset, pairs: Iterable[tuple[Path, Path | None]]
) -> list[dict[str, Any]]:
    """What a data set of the toolbox lists: images with their annotations, if they have any.

    Raises:
        FileNotFoundError: If a file is missing.
    """
    pairs = list(pairs)
    for path in filter(None, itertools.chain.from_iterable(pairs)):
        if not path.is_file():
            raise FileNotFoundError(
                f'{path} is missing ({len(pairs)} images are listed); complete the data set, or '
                'correct its folders and suffixes'
            )
    return [data_item(dataset, str(image), label and str(label)) for image, label in pairs]


def data_item(dataset: BaseSegDataset, image: str, label: str | None) -> dict[str, Any]:
    """One of `data_items`, of addresses that may be no files."""
    settings = dict(label_map=dataset.label_map, reduce_zero_label=dataset.reduce_zero_label)
    annotation = dict(seg_map_path=label) if label else {}
    return dict(img_path=image, **annotation, **settings, seg_fields=[])
