"""Export of a plain segmentor to ONNX, TorchScript or ``torch.export``, checked before it is there.

All three are made from one traced program: operations of torch on tensors, with batch, height and
width left open. What tells where an operation came from (class names, lines of source) is removed,
so a file depends on torch or onnxruntime and on nothing else.
"""

from __future__ import annotations

import copy
import io
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor, fx, nn
from torch.export import Dim, ExportedProgram

from mmseg_sparsemask.deployment.deployed import DeployedDecoder, deployed_segmentor
from mmseg_sparsemask.deployment.loading import load_predictor
from mmseg_sparsemask.deployment.metadata import Metadata, with_checksum
from mmseg_sparsemask.deployment.onnx_predictor import FilePredictor, read_image
from mmseg_sparsemask.deployment.predictor import ModelPredictor
from mmseg_sparsemask.models.backbones.probing import image_channels
from mmseg_sparsemask.utils.extras import require_extra
from mmseg_sparsemask.utils.files import replacing

#: File names end in this.
SUFFIXES = {'onnx': '.onnx', 'torchscript': '.torchscript', 'torch_export': '.pt2'}

#: Largest difference of a logit that counts as equal, where logits are up to 1; where they are
#: larger, this times the largest.
TOLERANCE = 1e-4

#: Smallest image for heads of other kinds: features of stride 32 with two positions a side.
SMALLEST = 64

#: Beside the graph in TorchScript and torch.export archives; ONNX has a place of its own.
METADATA_FILE = 'metadata.json'


@dataclass(frozen=True)
class Difference:
    """How far a network's logits are from those of the toolbox's model.

    Attributes:
        largest: Largest absolute difference of a logit.
        logits: Largest absolute logit of the toolbox's model.
    """

    largest: float
    logits: float

    def within(self, tolerance: float) -> bool:
        """Whether the difference counts as none; NaN never does."""
        return self.largest <= tolerance * max(1.0, self.logits)

    def __str__(self) -> str:
        return f'{self.largest:.2e} (logits up to {self.logits:.3g})'


@dataclass
class Exported:
    """What was written, and how it compares with the toolbox's model.

    Attributes:
        path: The file.
        size: Size of the file, in bytes.
        opset: ONNX's version of operators; None for other formats.
        differences: By what they were measured on.
    """

    path: Path
    size: int
    opset: int | None
    differences: dict[str, Difference] = field(default_factory=dict)


def trace(
    segmentor: nn.Module,
    image_size: tuple[int, int],
    smallest: int,
    dtype: torch.dtype | None = None,
) -> ExportedProgram:
    """A segmentor as one program over tensors, for any batch and for images of any size.

    Args:
        segmentor: From `deployed_segmentor`.
        image_size: (height, width) of the images it is traced with.
        smallest: Height and width from which on it has to work; below, features have a single
            position and the library takes other paths.
        dtype: Type of the images; that of the parameters if None.

    Raises:
        ValueError: The image is smaller than that.
        RuntimeError: The network decides by values or sizes and cannot be traced.
    """
    if min(image_size) < smallest:
        raise ValueError(
            f'shape: expected at least {smallest}x{smallest} (two positions in the coarsest '
            f'feature), got {image_size[0]}x{image_size[1]}'
        )
    # The exporter puts copies in the place of a module's dictionaries, to which hooks keep.
    segmentor = copy.deepcopy(segmentor)
    # A program is not faster for overwriting maps, and ONNX takes twice as long to be written.
    for module in segmentor.modules():
        if getattr(module, 'inplace', False):
            module.inplace = False
    # Not named: names forbid what is read off sizes to be rounded down, as the ends of strips are.
    sizes = {0: Dim('batch'), 2: Dim.AUTO(min=smallest), 3: Dim.AUTO(min=smallest)}
    shape = 2, image_channels(segmentor), *image_size
    example = next(segmentor.parameters()).new_zeros(shape, dtype=dtype)
    try:
        program = torch.export.export(segmentor, (example,), dynamic_shapes=(sizes,), strict=False)
    except Exception as error:  # whatever the network's own code raises on unknown sizes
        raise RuntimeError(
            f'the network cannot be exported for images of any size: {error}'
        ) from error
    _check_open(program)
    _drop_repeated_activations(program)
    for node in program.graph.nodes:
        # The rest tells classes and lines of source.
        node.meta = {key: value for key, value in node.meta.items() if key == 'val'}
    return program


def _check_open(program: ExportedProgram) -> None:
    """Raise a RuntimeError if the exporter has fixed the batch or the size of the images."""
    (name,) = program.graph_signature.user_inputs
    shape = next(node.meta['val'].shape for node in program.graph.nodes if node.name == name)
    if [isinstance(size, int) for size in shape] != [False, True, False, False]:
        raise RuntimeError(
            'the network cannot be exported for images of any size: the exporter fixes '
            f'{tuple(shape)}'
        )


def _drop_repeated_activations(program: ExportedProgram) -> None:
    """Let a ReLU or ReLU6 stand once where it is applied to its own output.

    A stage activates its sources (SparseMask, section 3.1), and some of a backbone's features are
    what the same activation gave.
    """
    once = (torch.ops.aten.relu.default, torch.ops.aten.hardtanh.default)
    for node in program.graph.nodes:
        source = node.args[0] if node.args else None
        if (
            node.target in once
            and isinstance(source, fx.Node)
            and (source.target, source.args[1:]) == (node.target, node.args[1:])
        ):
            node.replace_all_uses_with(source)
            program.graph.erase_node(node)
    program.graph_module.recompile()


def smallest_image(segmentor: nn.Module) -> int:
    """Height and width from which on a plain segmentor is exported for.

    Every feature has two positions a side: where there may be one the exporter makes files for that
    case alone.
    """
    decoder = getattr(segmentor, 'decoder', None)
    if isinstance(decoder, DeployedDecoder):
        return 2 * max(decoder.connectivity.strides)
    return SMALLEST


def decoder_convs(program: ExportedProgram) -> Counter[tuple[str, str]]:
    """Number of convolutions of a program's plain decoder by (stage, resolution)."""
    found: Counter[tuple[str, str]] = Counter()
    for name in program.graph_signature.parameters:
        parts = name.split('.')
        if parts[:2] == ['decoder', 'convs'] and parts[-1] == 'weight':
            found[parts[2], parts[3]] += 1
    return found


def export(
    model: EncoderDecoder,
    path: str | os.PathLike[str],
    file_format: str,
    metadata: Metadata,
    inputs: Mapping[str, Tensor],
    program: ExportedProgram | None = None,
    image_size: tuple[int, int] = (512, 512),
    tolerance: float = TOLERANCE,
    images: Mapping[str, np.ndarray | Path] | None = None,
) -> Exported:
    """Write a model's deployed form, if it computes what the model computes.

    The file is written under a temporary name, loaded again, and compared with the toolbox's model
    as it stands: network with network on normalised inputs, predictor with predictor on images.
    Only then it gets its name.

    Args:
        model: A toolbox model in evaluation mode, on the CPU.
        path: Path of the file; its folder is made.
        file_format: ``'onnx'``, ``'torchscript'`` or ``'torch_export'``.
        metadata: Stored in the file.
        inputs: Normalised images (N, C, H, W) to compare networks on, by a name for the report.
        program: From `trace`, to write several formats of one model; traced here if None.
        image_size: (height, width) to trace with.
        tolerance: Largest difference of a logit that is accepted; times the largest logit where
            that is above 1.
        images: Images (H, W, C), uint8, BGR, or their files, to compare predictions on, from the
            image to the scores at its size; by a name for the report. Noise if None.

    Raises:
        ImportError: ONNX's libraries are missing.
        ValueError: The format is unknown, the path has not its suffix, the file cannot be written,
            or logits differ by more than `tolerance`. Then nothing is left behind, and what was
            at `path` stays.
        RuntimeError: The network cannot be exported.
    """
    if file_format not in SUFFIXES:
        raise ValueError(f'format: expected one of {list(SUFFIXES)}, got {file_format!r}')
    path = Path(path)
    if path.suffix != SUFFIXES[file_format]:
        raise ValueError(f'{path}: expected a file *{SUFFIXES[file_format]}')
    if not inputs:
        raise ValueError('expected at least one input to compare on')
    require_format(file_format)
    if program is None:
        segmentor = deployed_segmentor(model, image_size)
        program = trace(segmentor, image_size, smallest_image(segmentor))
    toolbox = ModelPredictor(model)
    if images is None:
        shape = (*image_size, toolbox.channels)
        images = {'a noise image': np.random.default_rng(0).integers(0, 256, shape, np.uint8)}
    with written_if(path) as temporary:
        opset = WRITERS[file_format](program, temporary, metadata)
        predictor = load_predictor(temporary)
        differences = {}
        for name, given in {**inputs, **images}.items():
            if isinstance(given, Tensor):
                difference = difference_from(model, predictor.logits, given)
            else:
                difference = prediction_differs(toolbox, predictor, given)
            differences[name] = difference
            if not difference.within(tolerance):
                raise ValueError(
                    f'{file_format}: logits on {name} differ by {difference} from the '
                    f"toolbox's model, more than {tolerance:g}; {path} was not written"
                )
        size = temporary.stat().st_size
    return Exported(path, size, opset, differences)


@contextmanager
def written_if(path: Path) -> Iterator[Path]:
    """A temporary file that gets the name `path` if the block ends well; its folder is made.

    Raises:
        ValueError: It cannot be written. What was at `path` stays.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            yield temporary
    except OSError as error:
        raise ValueError(f'{path}: cannot be written ({error.strerror or error})') from error


def require_format(file_format: str) -> None:
    """Raise an ImportError that names the extra if a format's libraries are missing."""
    if file_format == 'onnx':
        for module in ('onnx', 'onnxscript', 'onnxruntime'):
            require_extra(module, 'deploy')


@torch.no_grad()
def difference_from(
    model: EncoderDecoder, network: Callable[[np.ndarray], np.ndarray], images: Tensor
) -> Difference:
    """Compare the logits of a network with those of a toolbox model.

    Args:
        model: Its logits are taken as the toolbox takes them for a whole image.
        network: Gives logits of the images' size.
        images: Normalised, (N, C, H, W).
    """
    wanted = model.encode_decode(images, [{'img_shape': images.shape[2:]}] * len(images))
    return _difference(network(images.numpy()), wanted.numpy())


def prediction_differs(
    toolbox: ModelPredictor, predictor: FilePredictor, image: np.ndarray | Path
) -> Difference:
    """Compare what a file and the toolbox make of an image (H, W, C), or of an image's file."""
    wanted = toolbox.sample(image).seg_logits.data.numpy()
    if isinstance(image, Path):
        image = read_image(image, predictor.channels)
    return _difference(predictor.scores(image), wanted)


def _difference(got: np.ndarray, wanted: np.ndarray) -> Difference:
    if got.shape != wanted.shape:
        raise ValueError(f'expected logits {wanted.shape}, got {got.shape}')
    return Difference(float(abs(got - wanted).max()), float(abs(wanted).max()))


def random_inputs(
    image_size: tuple[int, int], smallest: int, channels: int = 3, seed: int = 0
) -> dict[str, Tensor]:
    """Noise at the exported size, and at another size and batch."""
    generator = torch.Generator().manual_seed(seed)
    height, width = image_size
    other = max(height * 3 // 4 | 1, smallest), max(width * 5 // 4 | 1, smallest)
    shapes = [(2, *image_size), (1, *other), (3, smallest + 3, smallest + 6)]
    return {
        f'noise {batch}x{channels}x{h}x{w}': torch.randn(batch, channels, h, w, generator=generator)
        for batch, h, w in shapes
    }


def _write_onnx(program: ExportedProgram, path: Path, metadata: Metadata) -> int:
    onnx_program = torch.onnx.export(
        program,
        (),
        dynamo=True,
        input_names=['image'],
        output_names=['logits'],
        dynamic_shapes=({0: 'batch', 2: 'height', 3: 'width'},),  # their names
        external_data=False,
        verbose=False,
    )
    onnx_program.model.metadata_props.update(metadata.to_strings())
    content = onnx_program.model_proto.SerializeToString()
    path.write_bytes(with_checksum(content))
    return onnx_program.model.opset_imports['']


def _write_torchscript(program: ExportedProgram, path: Path, metadata: Metadata) -> None:
    scripted = torch.jit.script(scriptable(program)).eval()
    # In memory first: the library's own writer ends the process when the disk is full.
    content = io.BytesIO()
    extra = {METADATA_FILE: json.dumps(metadata.to_strings())}
    torch.jit.save(scripted, content, _extra_files=extra)
    path.write_bytes(content.getvalue())


def _write_torch_export(program: ExportedProgram, path: Path, metadata: Metadata) -> None:
    extra = {METADATA_FILE: json.dumps(metadata.to_strings())}
    content = io.BytesIO()  # see TorchScript
    torch.export.save(program, content, extra_files=extra)
    path.write_bytes(content.getvalue())


#: What writes a program in a format, unchecked, and gives the opset of ONNX.
WRITERS: dict[str, Callable[[ExportedProgram, Path, Metadata], int | None]] = {
    'onnx': _write_onnx,
    'torchscript': _write_torchscript,
    'torch_export': _write_torch_export,
}


def scriptable(program: ExportedProgram) -> fx.GraphModule:
    """A program in the words of TorchScript: no overloads, no checks of sizes, one output."""
    module = program.module()
    graph = module.graph
    for node in list(graph.nodes):
        if node.op == 'call_module':  # checks of the input's sizes
            graph.erase_node(node)
        elif node.target is torch.ops.aten.sym_size.int:
            with graph.inserting_before(node):
                node.replace_all_uses_with(graph.call_method('size', node.args))
            graph.erase_node(node)
        elif isinstance(node.target, torch._ops.OpOverload):
            node.target = node.target.overloadpacket
        elif node.op == 'output' and isinstance(node.args[0], Sequence):
            node.args = tuple(node.args[0])
    graph.eliminate_dead_code()
    graph.set_codegen(fx.graph.CodeGen())
    return fx.GraphModule(module, graph)
