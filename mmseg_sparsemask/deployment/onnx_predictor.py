"""Label maps of images by an exported ONNX file: NumPy, OpenCV and onnxruntime are all it needs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import cv2
import numpy as np

from mmseg_sparsemask.deployment.metadata import Metadata, check_checksum
from mmseg_sparsemask.utils.extras import require_extra
from mmseg_sparsemask.utils.interpolation import interpolation_matrix


def read_image(path: str | Path) -> np.ndarray:
    """An image file as (H, W, 3) uint8, BGR.

    Raises:
        ValueError: There is no such file, or it is no image.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f'{path} does not exist')
    data = np.fromfile(path, dtype=np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if image is None:
        raise ValueError(f'{path} is not an image that OpenCV can read')
    return image


class Predictor(ABC):
    """Label maps of images.

    Attributes:
        classes: Names by label.
        palette: RGB colours by label.
    """

    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]

    @abstractmethod
    def predict(self, image: np.ndarray) -> np.ndarray:
        """Labels (H, W), integers, of one image (H, W, 3), uint8, BGR."""

    @overload
    def __call__(self, images: np.ndarray) -> np.ndarray: ...

    @overload
    def __call__(self, images: Sequence[np.ndarray]) -> list[np.ndarray]: ...

    def __call__(self, images: np.ndarray | Sequence[np.ndarray]) -> Any:
        """Labels (H, W), integers, of an image, or a list of them for a list of images.

        Args:
            images: One (H, W, 3), uint8, BGR, as OpenCV reads it, or a list of them, of any sizes.

        Raises:
            ValueError: Something else was given.
        """
        one = isinstance(images, np.ndarray) and images.ndim == 3
        several = [images] if one else list(images)
        for image in several:
            shape = getattr(image, 'shape', ())
            if len(shape) != 3 or shape[2] != 3 or image.dtype != np.uint8:
                raise ValueError(
                    'expected images (H, W, 3) of uint8, BGR, got '
                    f'{getattr(image, "dtype", type(image).__name__)} {tuple(shape)}'
                )
        labels = [self.predict(image) for image in several]
        return labels[0] if one else labels


class FilePredictor(Predictor):
    """An exported file of any format; what it needs is in its metadata.

    Attributes:
        metadata: Of the file.
    """

    metadata: Metadata

    @abstractmethod
    def logits(self, inputs: np.ndarray) -> np.ndarray:
        """Logits (N, classes, H, W) of normalised images (N, 3, H, W), float32."""

    def predict(self, image: np.ndarray) -> np.ndarray:
        """See the base class."""
        meta = self.metadata
        height, width = image.shape[:2]
        resized = image
        if meta.resize:
            scale = meta.resize['scale']
            if meta.resize['keep_ratio']:
                longer, shorter = max(scale), min(scale)
                factor = min(longer / max(height, width), shorter / min(height, width))
                scale = [int(width * factor + 0.5), int(height * factor + 0.5)]
            resized = cv2.resize(image, scale, interpolation=cv2.INTER_LINEAR)
        pixels = resized[..., ::-1] if meta.bgr_to_rgb else resized
        pixels = (pixels.astype(np.float32) - np.float32(meta.mean)) / np.float32(meta.std)
        inputs = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])
        logits = self.logits(inputs)[0]
        if logits.shape[-2:] != (height, width):
            down, across = (
                interpolation_matrix(*sides, meta.align_corners, np.arange).astype(np.float32)
                for sides in zip(logits.shape[1:], (height, width))
            )
            logits = down @ (logits @ across.T)
        if meta.threshold is not None:
            return (1 / (1 + np.exp(-logits[0])) > meta.threshold).astype(np.int64)
        return logits.argmax(0)


class OnnxPredictor(FilePredictor):
    """An ONNX file that ``tools/deployment/export.py`` wrote; what it needs is in its metadata.

    Args:
        path: The file.
        device: ``'cpu'``, or ``'cuda:0'`` with an onnxruntime for GPUs.

    Raises:
        ImportError: Onnxruntime is missing.
        ValueError: The file is not there, was changed, or has no such metadata.
    """

    def __init__(self, path: str | Path, device: str = 'cpu') -> None:
        require_extra('onnxruntime', 'deploy')
        import onnxruntime

        if not Path(path).is_file():
            raise ValueError(f'{path} does not exist')
        content = Path(path).read_bytes()
        check_checksum(content, str(path))
        kind, _, number = device.partition(':')
        providers: list[Any] = ['CPUExecutionProvider']
        if kind == 'cuda':
            if 'CUDAExecutionProvider' not in onnxruntime.get_available_providers():
                raise ValueError(
                    f'device {device}: this onnxruntime has no CUDA provider; install '
                    'onnxruntime-gpu or use the CPU'
                )
            providers.insert(0, ('CUDAExecutionProvider', {'device_id': int(number or 0)}))
        try:
            self.session = onnxruntime.InferenceSession(content, providers=providers)
        except Exception as error:  # its exceptions have no common type
            raise ValueError(f'onnxruntime cannot load {path}: {error}') from error
        strings = self.session.get_modelmeta().custom_metadata_map
        self.metadata = Metadata.from_strings(strings, str(path))
        self.classes, self.palette = self.metadata.classes, self.metadata.palette

    def logits(self, inputs: np.ndarray) -> np.ndarray:
        """Logits (N, classes, H, W) of normalised images (N, 3, H, W), float32."""
        name = self.session.get_inputs()[0].name
        return self.session.run(None, {name: inputs})[0]
