"""Salient object detection: images with one binary mask each."""

from __future__ import annotations

from pathlib import Path

from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

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
        if self.ann_file:
            names = read_list(Path(self.ann_file))
        else:
            names = list_stems(images, self.img_suffix)
        data = []
        for name in names:
            item = dict(
                img_path=str(images / (name + self.img_suffix)),
                label_map=self.label_map,
                reduce_zero_label=self.reduce_zero_label,
                seg_fields=[],
            )
            if masks:
                item['seg_map_path'] = str(Path(masks) / (name + self.seg_map_suffix))
            for key in ('img_path', 'seg_map_path'):
                if key in item and not Path(item[key]).is_file():
                    raise FileNotFoundError(
                        f'{item[key]} is missing ({len(names)} images are listed); '
                        'complete the data set or correct data_prefix and the suffixes'
                    )
            data.append(item)
        return data


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
