"""The predictor of a file of any format."""

from __future__ import annotations

from pathlib import Path

from mmseg_sparsemask.deployment.onnx_predictor import FilePredictor, OnnxPredictor
from mmseg_sparsemask.utils.extras import require_extra


def load_predictor(path: str | Path, device: str = 'cpu') -> FilePredictor:
    """The predictor of an exported file, by its suffix.

    Args:
        path: ``*.onnx``, ``*.torchscript`` or ``*.pt2``.
        device: ``'cpu'``, ``'cuda:0'``, ...

    Raises:
        ImportError: The format's library is missing.
        ValueError: Another suffix, or the file cannot be used.
    """
    suffix = Path(path).suffix
    if suffix == '.onnx':
        return OnnxPredictor(path, device)
    if suffix in ('.torchscript', '.pt2'):
        require_extra('torch', 'onedl')
        from mmseg_sparsemask.deployment.torch_predictor import TorchPredictor

        return TorchPredictor(path, device)
    raise ValueError(
        f'{path}: expected a file *.onnx, *.torchscript or *.pt2; a checkpoint needs its config'
    )
