from mmseg_sparsemask.deployment.deployed import deployed_decoder, deployed_segmentor
from mmseg_sparsemask.deployment.export import Exported, export
from mmseg_sparsemask.deployment.onnx_predictor import OnnxPredictor, Predictor
from mmseg_sparsemask.deployment.predictor import (
    ToolboxPredictor,
    TorchPredictor,
    load_model,
    load_predictor,
)
from mmseg_sparsemask.deployment.published import PublishedPredictor, load_published

__all__ = [
    'Exported',
    'OnnxPredictor',
    'Predictor',
    'PublishedPredictor',
    'ToolboxPredictor',
    'TorchPredictor',
    'export',
    'load_model',
    'load_predictor',
    'load_published',
    'deployed_decoder',
    'deployed_segmentor',
]
