from mmseg_sparsemask.deployment.export import Exported, export
from mmseg_sparsemask.deployment.plain import plain_decoder, plain_segmentor
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
    'plain_decoder',
    'plain_segmentor',
]
