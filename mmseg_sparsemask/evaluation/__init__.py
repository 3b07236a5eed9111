from mmseg_sparsemask.evaluation.map_visualizer import MapVisualizer
from mmseg_sparsemask.evaluation.scene_parsing_metric import SceneParsingMetric
from mmseg_sparsemask.evaluation.voc_server_metric import VOCServerMetric

__all__ = ['MapVisualizer', 'SceneParsingMetric', 'VOCServerMetric']
