"""Networks made ready for use; without MMSegmentation, what runs an exported file."""

from mmseg_sparsemask.deployment.loading import load_predictor
from mmseg_sparsemask.deployment.onnx_predictor import OnnxPredictor, Predictor
from mmseg_sparsemask.utils.toolbox import has_toolbox

__all__ = ['OnnxPredictor', 'Predictor', 'load_predictor']

if has_toolbox():
    from mmseg_sparsemask.deployment.deployed import deployed_decoder, deployed_segmentor
    from mmseg_sparsemask.deployment.export import Exported, export
    from mmseg_sparsemask.deployment.predictor import ModelPredictor, ToolboxPredictor, load_model
    from mmseg_sparsemask.deployment.published import PublishedPredictor, load_published
    from mmseg_sparsemask.deployment.torch_predictor import TorchPredictor

    __all__ += [
        'Exported',
        'ModelPredictor',
        'PublishedPredictor',
        'ToolboxPredictor',
        'TorchPredictor',
        'deployed_decoder',
        'deployed_segmentor',
        'export',
        'load_model',
        'load_published',
    ]
