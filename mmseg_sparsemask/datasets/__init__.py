from .shapes import ShapesDataset

__all__ = ['ShapesDataset']
