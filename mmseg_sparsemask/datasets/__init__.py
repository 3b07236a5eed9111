from mmseg_sparsemask.datasets.camvid import CamVidDataset
from mmseg_sparsemask.datasets.pascal_person_part import PascalPersonPartDataset
from mmseg_sparsemask.datasets.shapes import ShapesDataset

__all__ = ['CamVidDataset', 'PascalPersonPartDataset', 'ShapesDataset']
