"""Smaller files: in float16, and for ONNX in int8, by ONNX Runtime's static quantisation.

Their logits are not the trained network's, so nothing is compared with the tolerance of rounding;
a file gets its name if the mean IoU falls by no more than is allowed.
"""

from __future__ import annotations

import copy
import os
import statistics
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from mmseg_sparsemask.deployment.accuracy import TestSet, mean_iou
from mmseg_sparsemask.deployment.export import WRITERS, trace, written_if
from mmseg_sparsemask.deployment.loading import load_predictor
from mmseg_sparsemask.deployment.metadata import Metadata, with_checksum
from mmseg_sparsemask.utils.timing import repeated

#: Formats that hold a precision below float32. A torch.export file runs on CPUs alone, where
#: float16 is many times slower.
FORMATS = {'float16': ('onnx', 'torchscript'), 'int8': ('onnx',)}

#: What a smaller file may lose of the mean IoU: points, and a part of it.
MIOU_POINTS, MIOU_SHARE = 1.0, 0.05

#: Passes whose median is a file's time.
ROUNDS = 9


@dataclass(frozen=True)
class Measured:
    """What one file costs and gives.

    Attributes:
        size: Size of the file, in bytes.
        milliseconds: Milliseconds of one image.
        miou: Mean IoU in percent.
    """

    size: int
    milliseconds: float
    miou: float


class HalfSegmentor(nn.Module):
    """A segmentor that computes in float16; images and logits stay in float32.

    Args:
        segmentor: From `deployed_segmentor`; it is copied.
    """

    def __init__(self, segmentor: nn.Module) -> None:
        super().__init__()
        self.segmentor = copy.deepcopy(segmentor).half()

    def forward(self, image: Tensor) -> Tensor:
        """Logits (N, classes, H, W) of normalised images (N, 3, H, W)."""
        return self.segmentor(image.half()).float()


def require_precision(file_format: str, precision: str) -> None:
    """Make sure that a format can hold a precision.

    Raises:
        ValueError: It cannot.
    """
    if file_format not in FORMATS[precision]:
        raise ValueError(
            f'{precision}: expected the format {" or ".join(FORMATS[precision])}, got '
            f'{file_format}, which cannot hold it'
        )


def write_half(
    segmentor: nn.Module,
    path: Path,
    file_format: str,
    metadata: Metadata,
    image_size: tuple[int, int],
    smallest: int,
    check: Callable[[Path], Measured],
) -> Measured:
    """Write a segmentor in float16, if `check` has nothing against it.

    Args:
        segmentor: From `deployed_segmentor`, in float32.
        path: Path of the file.
        file_format: ``'onnx'`` or ``'torchscript'``.
        metadata: Stored in the file.
        image_size: (height, width) to trace with.
        smallest: As of `trace`.
        check: Measures the file under its temporary name; see `measured`.

    Raises:
        ValueError: The format cannot hold it, or what `check` raises. Then nothing is written.
    """
    require_precision(file_format, 'float16')
    program = trace(HalfSegmentor(segmentor), image_size, smallest, torch.float32)
    with written_if(path) as temporary:
        WRITERS[file_format](program, temporary, metadata)
        return check(temporary)


def write_int8(
    source: str | os.PathLike[str],
    path: Path,
    images: Sequence[np.ndarray],
    check: Callable[[Path], Measured],
) -> Measured:
    """Write an exported ONNX file in int8, if `check` has nothing against it.

    Convolutions and products with weights take and give eight bits, quantised by the range that
    their values have on the images, after the ReLU or ReLU6 that follows. Resizing, the
    interpolation's products, the sums, and what classifies strip by strip stay in float32.

    Args:
        source: ONNX file of `export`.
        path: Path of the new file.
        images: (H, W, C), uint8, to calibrate on.
        check: Measures the file under its temporary name; see `measured`.

    Raises:
        ValueError: No images, or what `check` raises. Then nothing is written.
    """
    if not images:
        raise ValueError('int8: expected images to calibrate on, got none; give --images')
    import onnx
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    inputs = load_predictor(source).inputs

    class Images(CalibrationDataReader):
        left = ({'image': inputs(image)} for image in tqdm(images, desc='calibration'))

        def get_next(self) -> dict[str, object] | None:
            return next(self.left, None)

    model = onnx.load(os.fspath(source))
    strings = {item.key: item.value for item in model.metadata_props if item.key != 'sha256'}
    weights = {item.name for item in model.graph.initializer}
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f'node_{number}'
    uses = Counter(name for node in model.graph.node for name in node.input if name in weights)
    # What stands once for each strip would take the range of one place in the images.
    kept = [
        node.name
        for node in model.graph.node
        if node.op_type == 'MatMul' and [uses[name] for name in node.input if name in uses] != [1]
    ]
    with written_if(path) as temporary, tempfile.TemporaryDirectory() as folder:
        quantised = Path(folder) / 'int8.onnx'
        quantize_static(
            model,
            quantised,
            Images(),
            quant_format=QuantFormat.QDQ,
            # With the activations among them, the range of a convolution is that of what its
            # activation leaves (0 to 6): before it, few large values would take most of the bits.
            op_types_to_quantize=['Conv', 'MatMul', 'Gemm', 'Relu', 'Clip'],
            nodes_to_exclude=kept,
            per_channel=True,
            # Weights of seven bits: on x86 CPUs without VNNI, sums of two products of eight bits
            # each may not fit into the 16 bits that they have there.
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        model = onnx.load(quantised)
        del model.metadata_props[:]
        onnx.helper.set_model_props(model, strings)
        temporary.write_bytes(with_checksum(model.SerializeToString()))
        return check(temporary)


def measured(path: Path, test_set: TestSet, image: Tensor) -> Measured:
    """Size, time and mean IoU of a written file.

    Args:
        path: The file.
        test_set: For the mean IoU.
        image: For the time, normalised, (1, C, H, W).
    """
    predictor = load_predictor(path)
    miou, inputs = mean_iou(predictor, test_set), image.numpy()
    seconds = repeated(lambda: predictor.logits(inputs), ROUNDS, warmup=1)
    return Measured(path.stat().st_size, 1000 * statistics.median(seconds), miou)


def accepted(
    found: Measured, wanted: float, points: float = MIOU_POINTS, share: float = MIOU_SHARE
) -> Measured:
    """What was measured, if its mean IoU is not too far below that of float32.

    Args:
        found: What was measured of the smaller file.
        wanted: Mean IoU of the float32 file, in percent.
        points: How many points it may lose.
        share: Which part of `wanted` it may lose; the smaller of the two counts.

    Raises:
        ValueError: It lost more, or float32 has nothing to lose.
    """
    if not wanted > 0:
        raise ValueError(
            f'mean IoU of float32 is {wanted:.2f}: that tells nothing of a smaller file; give '
            '--images, or test images that the network can label'
        )
    # Written so that a mean that is no number fails.
    if not found.miou >= wanted - min(points, share * wanted):
        raise ValueError(
            f'mean IoU {found.miou:.2f} is {wanted - found.miou:.2f} points below the '
            f'{wanted:.2f} of float32, more than {points:g} (--miou-tolerance) or {share:.0%} of '
            'that (--miou-share); not written'
        )
    return found
