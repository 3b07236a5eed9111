from mmseg_sparsemask.datasets import transforms
from mmseg_sparsemask.datasets.bsds500 import BSDS500Dataset
from mmseg_sparsemask.datasets.camvid import CamVidDataset
from mmseg_sparsemask.datasets.pascal_person_part import PascalPersonPartDataset
from mmseg_sparsemask.datasets.saliency import SaliencyDataset
from mmseg_sparsemask.datasets.shapes import ShapesDataset
from mmseg_sparsemask.datasets.shapes_tasks import ShapesEdgeDataset, ShapesSaliencyDataset

__all__ = [
    'BSDS500Dataset',
    'CamVidDataset',
    'PascalPersonPartDataset',
    'SaliencyDataset',
    'ShapesDataset',
    'ShapesEdgeDataset',
    'ShapesSaliencyDataset',
    'transforms',
]
