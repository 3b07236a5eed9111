"""Data sets that MMSegmentation lacks, their converters, metrics of data sets' own protocols."""

from mmseg_sparsemask.datasets.camvid import CamVidDataset
from mmseg_sparsemask.datasets.pascal_person_part import PascalPersonPartDataset
from mmseg_sparsemask.datasets.scene_parsing_metric import SceneParsingMetric
from mmseg_sparsemask.datasets.shapes import ShapesDataset
from mmseg_sparsemask.datasets.voc_server_metric import VOCServerMetric

__all__ = [
    'CamVidDataset',
    'PascalPersonPartDataset',
    'SceneParsingMetric',
    'ShapesDataset',
    'VOCServerMetric',
]
