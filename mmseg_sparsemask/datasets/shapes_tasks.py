"""Saliency and boundary detection on the embedded data set: nothing to download."""

from __future__ import annotations

from mmseg.registry import DATASETS

from mmseg_sparsemask.datasets.bsds500 import EDGE_METAINFO
from mmseg_sparsemask.datasets.saliency import SALIENCY_METAINFO
from mmseg_sparsemask.datasets.scene import CLASSES
from mmseg_sparsemask.datasets.shapes import ShapesDataset, shapes_address


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


@DATASETS.register_module()
class ShapesEdgeDataset(ShapesDataset):
    """Drawn scenes with the outlines of their shapes as boundaries, one annotator.

    ``seg_map_path`` of an item is the map of instances: read it with ``LoadInstanceBoundaries``.
    Arguments as `~.shapes.ShapesDataset`.
    """

    METAINFO = EDGE_METAINFO

    def load_data_list(self) -> list[dict]:
        """Items of the segmentation data set with instances in place of classes."""
        return [
            {
                **item,
                'seg_map_path': shapes_address(
                    self.size, self.seed, self.split, index, 'instances'
                ),
            }
            for index, item in enumerate(super().load_data_list())
        ]
