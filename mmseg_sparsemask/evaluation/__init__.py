from mmseg_sparsemask.evaluation import metrics

__all__ = ['metrics']
