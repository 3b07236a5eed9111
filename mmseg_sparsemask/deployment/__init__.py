from mmseg_sparsemask.deployment.deployed import deployed_decoder, deployed_segmentor
from mmseg_sparsemask.deployment.export import Exported, export
from mmseg_sparsemask.deployment.onnx_predictor import OnnxPredictor, Predictor
from mmseg_sparsemask.deployment.predictor import (
    ToolboxPredictor,
    load_model,
)

__all__ = [
    'Exported',
    'OnnxPredictor',
    'Predictor',
    'ToolboxPredictor',
    'export',
    'load_model',
    'deployed_decoder',
    'deployed_segmentor',
]
