from . import transforms
from .bsds500 import BSDS500Dataset
from .camvid import CamVidDataset
from .pascal_person_part import PascalPersonPartDataset
from .saliency import SaliencyDataset
from .shapes import ShapesDataset
from .shapes_tasks import ShapesEdgeDataset, ShapesSaliencyDataset

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
