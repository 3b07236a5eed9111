"""Label maps of images by an exported ONNX file: NumPy, OpenCV and onnxruntime are all it needs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import cv2
import numpy as np

from mmseg_sparsemask.deployment.metadata import INTERPOLATIONS, Metadata, check_checksum
from mmseg_sparsemask.deployment.onnx_content import check_content
from mmseg_sparsemask.utils.extras import require_extra
from mmseg_sparsemask.utils.interpolation import interpolation_matrix


def read_image(path: str | Path, channels: int = 3) -> np.ndarray:
    """An image file as (H, W, channels) uint8: one channel is grey, three are BGR.

    Raises:
        ValueError: There is no such file, or it is no image of so many channels.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f'{path} does not exist')
    data = np.fromfile(path, dtype=np.uint8)
    flag = {1: cv2.IMREAD_GRAYSCALE, 3: cv2.IMREAD_COLOR}.get(channels, cv2.IMREAD_UNCHANGED)
    try:
        image = cv2.imdecode(data, flag)
    except cv2.error:  # no bytes, or more pixels than it takes
        image = None
    if image is None:
        raise ValueError(f'{path} is not an image that OpenCV can read')
    image = image.reshape(*image.shape[:2], -1)
    if image.shape[2] != channels:
        raise ValueError(f'{path}: expected {channels} channels, got {image.shape[2]}')
    return image


class Predictor(ABC):
    """Label maps of images.

    Attributes:
        classes: Names by label.
        palette: RGB colours by label.
        channels: Channels of an image.
    """

    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    channels: int = 3

    @abstractmethod
    def predict(self, image: np.ndarray) -> np.ndarray:
        """Labels (H, W), integers, of one image (H, W, channels), uint8, BGR."""

    @overload
    def __call__(self, images: np.ndarray) -> np.ndarray: ...

    @overload
    def __call__(self, images: Sequence[np.ndarray]) -> list[np.ndarray]: ...

    def __call__(self, images: np.ndarray | Sequence[np.ndarray]) -> Any:
        """Labels (H, W), integers, of an image, or a list of them for a list of images.

        Args:
            images: One (H, W, channels), uint8, three channels as BGR, as OpenCV reads them; or a
                list of them, of any sizes.

        Raises:
            ValueError: Something else was given.
        """
        one = isinstance(images, np.ndarray) and images.ndim == 3
        several = [images] if one else list(images)
        for image in several:
            shape = getattr(image, 'shape', ())
            if len(shape) != 3 or shape[2] != self.channels or image.dtype != np.uint8:
                raise ValueError(
                    f'expected images (H, W, {self.channels}) of uint8, BGR, got '
                    f'{getattr(image, "dtype", type(image).__name__)} {tuple(shape)}'
                )
        labels = [self.predict(image) for image in several]
        return labels[0] if one else labels


class FilePredictor(Predictor):
    """An exported file of any format; what it needs is in its metadata.

    Attributes:
        metadata: Metadata of the file.
    """

    metadata: Metadata

    @property
    def classes(self) -> tuple[str, ...]:
        """Names by label."""
        return self.metadata.classes

    @property
    def palette(self) -> tuple[tuple[int, int, int], ...]:
        """RGB colours by label."""
        return self.metadata.palette

    @property
    def channels(self) -> int:
        """Of an image."""
        return len(self.metadata.mean)

    @abstractmethod
    def logits(self, inputs: np.ndarray) -> np.ndarray:
        """Logits (N, classes, h, w) of normalised images (N, channels, h, w), float32."""

    def inputs(self, image: np.ndarray) -> np.ndarray:
        """What the network gets of an image (H, W, channels): (1, channels, h, w), float32."""
        meta = self.metadata
        for step in meta.resize:
            image = _resized(image, **step)
        pixels = image[..., ::-1] if meta.bgr_to_rgb else image
        pixels = (pixels.astype(np.float32) - np.float32(meta.mean)) / np.float32(meta.std)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])

    def scores(self, image: np.ndarray) -> np.ndarray:
        """Logits (classes, H, W) of an image, or the probability (1, H, W) if it has a threshold.

        Raises:
            ValueError: The network does not run on an image of this size.
        """
        height, width = image.shape[:2]
        try:
            inputs = self.inputs(image)
            height, width = inputs.shape[2:]
            logits = self.logits(inputs)[0]
        except Exception as error:  # the libraries' exceptions have no common type
            raise ValueError(
                f'the file cannot label an image that is {height}x{width} for the network '
                f'({" ".join(str(error).split())[:200]}); docs/deployment.md has the least size'
            ) from error
        if logits.shape[1:] != image.shape[:2]:
            down, across = (
                interpolation_matrix(*sides, self.metadata.align_corners, np.arange)
                for sides in zip(logits.shape[1:], image.shape[:2])
            )
            logits = down.astype(np.float32) @ (logits @ across.T.astype(np.float32))
        return logits if self.metadata.threshold is None else 1 / (1 + np.exp(-logits))

    def predict(self, image: np.ndarray) -> np.ndarray:
        """See the base class."""
        scores = self.scores(image)
        if self.metadata.threshold is None:
            return scores.argmax(0)
        return (scores[0] > self.metadata.threshold).astype(np.int64)


def _resized(
    image: np.ndarray,
    keep_ratio: bool,
    scale: Sequence[int] | None = None,
    scale_factor: Sequence[float] = (),
    interpolation: str = 'bilinear',
) -> np.ndarray:
    """As MMCV's ``Resize`` does it: to a size (width, height), or as large as fits into it."""
    height, width = image.shape[:2]
    if scale is None:
        scale = [int(side * f + 0.5) for side, f in zip((width, height), scale_factor)]
    if keep_ratio:
        factor = min(max(scale) / max(height, width), min(scale) / min(height, width))
        scale = [int(width * factor + 0.5), int(height * factor + 0.5)]
    resized = cv2.resize(image, scale, interpolation=INTERPOLATIONS[interpolation])
    return resized.reshape(*resized.shape[:2], -1)


class OnnxPredictor(FilePredictor):
    """An ONNX file that ``tools/deployment/export.py`` wrote; what it needs is in its metadata.

    Args:
        path: The file, or a folder of ``tools/publish.py`` that has one.
        device: ``'cpu'``, or ``'cuda:0'`` with an onnxruntime for GPUs.
        threads: Threads of the CPU; None leaves their number to onnxruntime.
        providers: Execution providers of onnxruntime in place of those of the device, by name or
            as pairs of a name and its options.

    Raises:
        ImportError: Onnxruntime is missing.
        ValueError: The file is not there, was changed, has no such metadata, or holds what an
            exported network has not; or this onnxruntime lacks a provider.
    """

    def __init__(
        self,
        path: str | Path,
        device: str = 'cpu',
        threads: int | None = None,
        providers: Sequence[str | tuple[str, dict[str, Any]]] | None = None,
    ) -> None:
        require_extra('onnxruntime', 'deploy')
        import onnxruntime

        path = Path(path, 'model.onnx') if Path(path).is_dir() else Path(path)
        if not path.is_file():
            raise ValueError(f'{path} does not exist')
        content = path.read_bytes()
        check_checksum(content, str(path))
        check_content(content, str(path))
        if providers is None:
            kind, _, number = device.partition(':')
            gpu = [('CUDAExecutionProvider', {'device_id': int(number or 0)})]
            providers = [*(gpu if kind == 'cuda' else []), 'CPUExecutionProvider']
        names = {name if isinstance(name, str) else name[0] for name in providers}
        if lacking := names - set(onnxruntime.get_available_providers()):
            raise ValueError(
                f'this onnxruntime has no {", ".join(sorted(lacking))}; install one that has (for '
                'CUDA: onnxruntime-gpu) or use the CPU'
            )
        options = onnxruntime.SessionOptions()
        # Or a file might be what was checked, and read as onnxruntime's own format.
        options.add_session_config_entry('session.load_model_format', 'ONNX')
        if threads is not None:
            if threads < 1:
                raise ValueError(f'threads: expected at least 1, got {threads}')
            options.intra_op_num_threads = threads
        try:
            self.session = onnxruntime.InferenceSession(content, options, providers=list(providers))
        except Exception as error:  # its exceptions have no common type
            raise ValueError(f'onnxruntime cannot load {path}: {error}') from error
        strings = self.session.get_modelmeta().custom_metadata_map
        self.metadata = Metadata.from_strings(strings, str(path))

    def logits(self, inputs: np.ndarray) -> np.ndarray:
        """See the base class."""
        name = self.session.get_inputs()[0].name
        return self.session.run(None, {name: inputs})[0]
