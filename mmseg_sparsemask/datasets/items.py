"""What a data set of the toolbox lists."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmseg.datasets import BaseSegDataset

from mmseg_sparsemask.utils.repeatable import fingerprint_key


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


def stated_meta(kind: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Classes and colours of a data set that is not built, as far as it states them.

    Args:
        kind: Its class, or None.
        settings: Of a config; their ``metainfo`` may name a file of classes in place of them.
    """
    given = settings.get('metainfo') or {}
    if hasattr(kind, '_load_metainfo'):  # MMEngine's own way
        return dict(kind._load_metainfo(given))
    return {**getattr(kind, 'METAINFO', {}), **given}


def files_digest(dataset: Any, places: Iterable[int]) -> str:
    """A hash of how large the files of some items are: another one once they were made anew.

    Args:
        dataset: Of the toolbox. What is no local file counts as nothing, and so does all that a
            wrapper holds which does not say what it lists.
        places: Which items.
    """
    items = map(dataset.get_data_info, places) if hasattr(dataset, 'get_data_info') else ()
    paths = [item.get(key) or '' for item in items for key in ('img_path', 'seg_map_path')]
    sizes = [os.path.getsize(path) if os.path.isfile(path) else 0 for path in paths]
    return fingerprint_key({'sizes': sizes})
