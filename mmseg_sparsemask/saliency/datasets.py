"""Salient object detection: images with one binary mask each."""

from __future__ import annotations

from pathlib import Path

from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from mmseg_sparsemask.datasets.items import data_items
from mmseg_sparsemask.datasets.reading import list_stems, read_list
from mmseg_sparsemask.datasets.scene import CLASSES
from mmseg_sparsemask.datasets.shapes import ShapesDataset

SALIENCY_METAINFO = dict(classes=('background', 'salient'), palette=[[0, 0, 0], [255, 255, 255]])


@DATASETS.register_module()
class SaliencyDataset(BaseSegDataset):
    """A folder of images and a folder of masks with the same names (MSRA-B, SOD, ECSSD, DUTS, ...).

    Args:
        ann_file: List of names, one a line, with or without suffix, relative to ``data_root``.
            Without it every image of the folder is taken.
        img_suffix: Suffix of the images, ``.jpg`` by default.
        seg_map_suffix: Suffix of the masks, ``.png`` by default.
        **kwargs: See ``BaseSegDataset``; ``data_prefix`` needs ``img_path`` and, unless the images
            have no masks, ``seg_map_path``.

    Raises:
        FileNotFoundError: If a folder, a list, an image or a mask is missing.
        ValueError: If an image is listed twice.
    """

    METAINFO = SALIENCY_METAINFO

    def load_data_list(self) -> list[dict]:
        """Pair images and masks by name."""
        images = Path(self.data_prefix['img_path'])
        masks = self.data_prefix.get('seg_map_path')
        listed = Path(self.ann_file)
        names = read_list(listed) if self.ann_file else list_stems(images, self.img_suffix)
        mask_of = Path(masks).joinpath if masks else lambda name: None
        pairs = [
            (images / f'{n}{self.img_suffix}', mask_of(f'{n}{self.seg_map_suffix}')) for n in names
        ]
        return data_items(self, pairs)


@DATASETS.register_module()
class ShapesSaliencyDataset(ShapesDataset):
    """Drawn scenes in which the salient object is everything but the background.

    Reads with the toolbox's ``LoadAnnotations``. Arguments as `~.shapes.ShapesDataset`.
    """

    METAINFO = SALIENCY_METAINFO

    def load_data_list(self) -> list[dict]:
        """Items of the segmentation data set with all shapes mapped to one class."""
        binary = {label: min(label, 1) for label in range(len(CLASSES))}
        return [{**item, 'label_map': binary} for item in super().load_data_list()]
