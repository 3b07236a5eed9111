from mmseg_sparsemask.deployment.deployed import deployed_decoder, deployed_segmentor
from mmseg_sparsemask.deployment.export import Exported, export
from mmseg_sparsemask.deployment.onnx_predictor import OnnxPredictor, Predictor
from mmseg_sparsemask.deployment.predictor import (
    ToolboxPredictor,
    TorchPredictor,
    load_model,
    load_predictor,
)

__all__ = [
    'Exported',
    'OnnxPredictor',
    'Predictor',
    'ToolboxPredictor',
    'TorchPredictor',
    'export',
    'load_model',
    'load_predictor',
    'deployed_decoder',
    'deployed_segmentor',
]
