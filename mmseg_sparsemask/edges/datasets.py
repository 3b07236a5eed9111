"""Berkeley Segmentation Data Set 500 for boundary detection, in its original layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from mmseg_sparsemask.datasets.items import data_items
from mmseg_sparsemask.datasets.reading import list_stems
from mmseg_sparsemask.datasets.shapes import ShapesDataset

SPLITS = ('train', 'val', 'test')
EDGE_METAINFO = dict(classes=('background', 'edge'), palette=[[0, 0, 0], [255, 255, 255]])


@DATASETS.register_module()
class BSDS500Dataset(BaseSegDataset):
    """``images/<split>/*.jpg`` with ``groundTruth/<split>/*.mat``, several annotators an image.

    ``seg_map_path`` of an item is the ``.mat`` file: read it with ``LoadBSDSBoundaries``.

    Args:
        split: ``'train'`` (200 images), ``'val'`` (100) or ``'test'`` (200), or several of them;
            the field trains on train and val.
        data_root: The folder that holds ``images`` and ``groundTruth``.
        **kwargs: See ``BaseSegDataset``.

    Raises:
        FileNotFoundError: If a folder or an annotation is missing.
        ValueError: On an unknown split or one named twice.
    """

    METAINFO = EDGE_METAINFO

    def __init__(self, split: str | Sequence[str], data_root: str, **kwargs) -> None:
        splits = [split] if isinstance(split, str) else list(split)
        if not splits or len(set(splits)) < len(splits) or not set(splits) <= set(SPLITS):
            raise ValueError(f'split must be one or several of {SPLITS}, each once, got {split}')
        self.splits = splits
        super().__init__(data_root=data_root, img_suffix='.jpg', seg_map_suffix='.mat', **kwargs)

    def load_data_list(self) -> list[dict]:
        """Pair images and annotations by name."""
        root = Path(self.data_root)
        pairs = [
            (root / 'images' / split / f'{name}.jpg', root / 'groundTruth' / split / f'{name}.mat')
            for split in self.splits
            for name in list_stems(root / 'images' / split, '.jpg')
        ]
        return data_items(self, pairs)


@DATASETS.register_module()
class ShapesEdgeDataset(ShapesDataset):
    """Drawn scenes with the outlines of their shapes as boundaries, one annotator.

    ``seg_map_path`` of an item is the map of instances: read it with ``LoadInstanceBoundaries``.
    Arguments as `~.shapes.ShapesDataset`.
    """

    METAINFO = EDGE_METAINFO
    label_part = 'instances'
