from mmseg_sparsemask.evaluation.metrics.edge_metric import EdgeMetric
from mmseg_sparsemask.evaluation.metrics.saliency_metric import SaliencyMetric
from mmseg_sparsemask.evaluation.metrics.scene_parsing_metric import SceneParsingMetric
from mmseg_sparsemask.evaluation.metrics.voc_server_metric import VOCServerMetric

__all__ = ['EdgeMetric', 'SaliencyMetric', 'SceneParsingMetric', 'VOCServerMetric']
