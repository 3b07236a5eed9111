"""What networks have made of the scored images: IoU of each class, and a gallery."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from numpy.typing import NDArray

from mmseg_sparsemask.compare.ious import confusion, ious
from mmseg_sparsemask.datasets.palette import colour_table

#: Images of a gallery, and the width of one in it.
SHOWN, WIDTH = 4, 240

Image = NDArray[np.uint8]


class Scored:
    """The images that networks were scored on, with their labels.

    Args:
        config: Config of one of the networks, for its test data.
    """

    def __init__(self, config: Path) -> None:
        cfg = Config.fromfile(config)
        init_default_scope('mmseg')
        steps = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
        settings = {**cfg.test_dataloader.dataset.to_dict(), 'pipeline': steps}
        self.data = DATASETS.build(settings)
        self.classes = list(self.data.metainfo['classes'])
        self.palette = colour_table(self.data.metainfo['palette'])
        # Predictions are named by the image's name alone: of several, the last one's is there.
        names = (self.data.get_data_info(place)['img_path'] for place in range(len(self.data)))
        self.places = list({Path(name).stem: n for n, name in enumerate(names)}.values())

    def ious(self, maps: Mapping[str, Path]) -> dict[str, list[float | None]]:
        """IoU of each class in percent, by network; None for a class that does not occur.

        Args:
            maps: Folders of predicted label maps.
        """
        count = len(self.classes)
        tables = {name: torch.zeros(count, count, dtype=torch.long) for name in maps}
        for place in self.places:
            item = self.data[place]
            truth = item['gt_seg_map']
            counts = truth < count
            for name, folder in maps.items():
                found = _labels(folder, item['img_path'])
                pairs = (torch.from_numpy(labels[counts]) for labels in (truth, found))
                tables[name] += confusion(*pairs, count)
        return {
            name: [None if isnan(iou) else round(iou, 2) for iou in ious(table).tolist()]
            for name, table in tables.items()
        }

    def gallery(self, maps: Mapping[str, Path]) -> list[tuple[str, list[Image]]]:
        """Some images at equal distances: name, and image, truth and predictions in colour."""
        step = max(1, len(self.places) // SHOWN)
        rows = []
        for place in self.places[::step][:SHOWN]:
            item = self.data[place]
            image = item['img']
            labels = [item['gt_seg_map']]
            labels += [_labels(folder, item['img_path']) for folder in maps.values()]
            height = max(1, round(image.shape[0] * WIDTH / image.shape[1]))
            tiles = [cv2.resize(image[..., :3], (WIDTH, height), interpolation=cv2.INTER_AREA)]
            for label in labels:
                small = cv2.resize(
                    label.astype(np.uint8), (WIDTH, height), interpolation=cv2.INTER_NEAREST
                )
                tiles.append(self.palette[small][..., ::-1])
            rows.append((Path(item['img_path']).stem, tiles))
        return rows


def _labels(folder: Path, image: str) -> Image:
    path = folder / f'{Path(image).stem}.png'
    found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if found is None:
        raise ValueError(f'{path}: expected the labels that a test wrote; remove {folder.parent}')
    return np.asarray(found, np.uint8)
