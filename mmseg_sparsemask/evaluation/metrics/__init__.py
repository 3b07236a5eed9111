from mmseg_sparsemask.evaluation.metrics.edge_metric import EdgeMetric
from mmseg_sparsemask.evaluation.metrics.saliency_metric import SaliencyMetric

__all__ = ['EdgeMetric', 'SaliencyMetric']
