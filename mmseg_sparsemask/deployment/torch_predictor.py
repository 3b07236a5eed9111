"""Label maps of images by a TorchScript or torch.export file: torch is all it needs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from mmseg_sparsemask.deployment.metadata import Metadata
from mmseg_sparsemask.deployment.onnx_predictor import FilePredictor


class TorchPredictor(FilePredictor):
    """A TorchScript or torch.export file that ``tools/deployment/export.py`` wrote.

    Args:
        path: The file, ``*.torchscript`` or ``*.pt2``. Both are programs: open only files of
            people whom you trust.
        device: ``'cpu'``, ``'cuda:0'``, ...; torch.export files know the CPU alone.

    Raises:
        ValueError: The file is not there, cannot be read, or has no such metadata.
    """

    def __init__(self, path: str | Path, device: str = 'cpu') -> None:
        path, files = Path(path), {'metadata.json': ''}
        if not path.is_file():
            raise ValueError(f'{path} does not exist')
        try:
            if path.suffix == '.pt2':
                if device != 'cpu':
                    raise ValueError(f'a torch.export file runs on the CPU, not on {device}')
                self.network = torch.export.load(path, extra_files=files).module()
            else:
                self.network = torch.jit.load(str(path), map_location=device, _extra_files=files)
            strings = json.loads(files['metadata.json'])
        except Exception as error:  # the library's exceptions have no common type
            raise ValueError(f'torch cannot load {path}: {error}') from error
        self.device = device
        self.metadata = Metadata.from_strings(strings, str(path))

    @torch.no_grad()
    def logits(self, inputs: np.ndarray) -> np.ndarray:
        """See the base class."""
        return self.network(torch.from_numpy(inputs).to(self.device)).cpu().numpy()
