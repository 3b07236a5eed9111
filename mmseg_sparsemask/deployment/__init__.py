from mmseg_sparsemask.deployment.export import Exported, export
from mmseg_sparsemask.deployment.deployed import deployed_decoder, deployed_segmentor
from mmseg_sparsemask.deployment.predictor import (
    OnnxPredictor,
    Predictor,
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
