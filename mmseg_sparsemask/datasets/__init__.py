from .camvid import CamVidDataset
from .shapes import ShapesDataset

__all__ = ['CamVidDataset', 'ShapesDataset']
