"""Label maps of images, by a config and its checkpoint or by an exported file."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from mmseg.apis import inference_model
from mmseg.datasets import BaseSegDataset
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import DATASETS, MODELS
from torch import Tensor

from mmseg_sparsemask.deployment.accuracy import TestSet, labels_of
from mmseg_sparsemask.deployment.metadata import Metadata, class_colours
from mmseg_sparsemask.deployment.onnx_predictor import FilePredictor, OnnxPredictor, Predictor
from mmseg_sparsemask.utils.checkpoints import load_checkpoint, load_strictly

_READ_LABELS = (
    *('LoadAnnotations', 'LoadBSDSBoundaries', 'LoadDepthAnnotation', 'LoadInstanceBoundaries'),
    'LoadSaliencyMask',
)


def load_model(
    config: str | Path | Config,
    checkpoint: str,
    cfg_options: dict[str, Any] | None = None,
    trust: bool = False,
) -> EncoderDecoder:
    """A toolbox model with its weights, in evaluation mode, on the CPU.

    Args:
        config: Path or content. It becomes ``model.cfg``.
        checkpoint: Path or address.
        cfg_options: Values to override, with dotted keys.
        trust: Read a checkpoint that may run code while it is read.

    Returns:
        The model; ``dataset_meta`` has the classes and colours of the checkpoint, or of the
        config's test data set if the checkpoint has none.

    Raises:
        FileNotFoundError: There is no checkpoint.
        ValueError: The checkpoint does not fit the config, or needs to be trusted.
    """
    cfg = copy.deepcopy(config) if isinstance(config, Config) else Config.fromfile(config)
    if cfg_options is not None:
        cfg.merge_from_dict(cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    cfg.model.pretrained = None
    content = load_checkpoint(checkpoint, trust)
    model = MODELS.build(cfg.model)
    load_strictly(model, content, checkpoint)
    model.cfg = cfg
    meta = content.get('meta', {}).get('dataset_meta')
    model.dataset_meta = _dataset_meta(cfg) if meta is None else meta
    return model.eval()


def _dataset_meta(cfg: Config) -> dict[str, Any]:
    dataset = (cfg.get('test_dataloader') or {}).get('dataset') or {}
    kind = DATASETS.get(dataset.get('type')) if dataset.get('type') else None
    return {**getattr(kind, 'METAINFO', {}), **(dataset.get('metainfo') or {})}


def metadata_of(model: EncoderDecoder) -> Metadata:
    """What a file exported from a model of `load_model` has to know."""
    preprocessor = model.data_preprocessor
    normalises = getattr(preprocessor, '_enable_normalize', False)
    classes, palette = class_colours(model.dataset_meta, model.num_classes)
    resizes = [t for t in _image_pipeline(model.cfg) if t['type'] == 'Resize' and t.get('scale')]
    return Metadata(
        mean=tuple(preprocessor.mean.flatten().tolist()) if normalises else (0.0,) * 3,
        std=tuple(preprocessor.std.flatten().tolist()) if normalises else (1.0,) * 3,
        bgr_to_rgb=bool(getattr(preprocessor, '_channel_conversion', False)),
        resize={
            'scale': list(resizes[0]['scale']),
            'keep_ratio': bool(resizes[0].get('keep_ratio', False)),
        }
        if resizes
        else None,
        classes=classes,
        palette=palette,
        threshold=float(model.decode_head.threshold) if model.out_channels == 1 else None,
        align_corners=bool(model.align_corners),
    )


def network_input(model: EncoderDecoder, image: np.ndarray) -> Tensor:
    """What the network gets of an image: the test pipeline's result, normalised, (1, 3, h, w).

    Args:
        model: From `load_model`.
        image: (H, W, 3) uint8, BGR.
    """
    first, *others = _image_pipeline(model.cfg)
    pipeline = Compose([{**first, 'type': 'LoadImageFromNDArray'}, *others])
    return _preprocessed(model, pipeline(dict(img=image)))


def images_of_test_set(model: EncoderDecoder, count: int) -> list[Tensor]:
    """Network inputs of the first images of a config's test data set.

    Raises:
        ValueError: The config has none, or its files are not there.
    """
    pipeline = _image_pipeline(model.cfg)
    samples, _ = _samples(model.cfg, 'test_dataloader', pipeline, count)
    return [_preprocessed(model, sample) for sample in samples]


def calibration_images(model: EncoderDecoder, count: int) -> list[Tensor]:
    """Network inputs of images of a config's training data, evenly spread, as in testing.

    Raises:
        ValueError: The config has none, or its files are not there.
    """
    pipeline = _image_pipeline(model.cfg)
    samples, _ = _samples(model.cfg, 'train_dataloader', pipeline, count, spread=True)
    return [_preprocessed(model, sample) for sample in samples]


def labelled_test_set(model: EncoderDecoder, count: int) -> TestSet:
    """Images of a config's test data set, evenly spread, with their labels.

    Raises:
        ValueError: The config has none, or its files are not there.
    """
    pipeline = copy.deepcopy(_test_pipeline(model.cfg))
    samples, dataset = _samples(model.cfg, 'test_dataloader', pipeline, count, spread=True)
    if not all('gt_sem_seg' in sample['data_samples'] for sample in samples):
        raise ValueError('the test pipeline of the config loads no labels; give --images')
    truths = [sample['data_samples'].gt_sem_seg.data[0] for sample in samples]
    images = [_preprocessed(model, sample) for sample in samples]
    title = f'{len(images)} of {len(dataset)} test images'
    return TestSet(images, truths, dataset.ignore_index, title)


@torch.no_grad()
def self_labelled(model: EncoderDecoder, images: Sequence[Tensor]) -> TestSet:
    """Images with the labels that the model itself gives: its own mean IoU on them is 100."""
    metadata = metadata_of(model)
    truths = []
    for image in images:
        size = image.shape[2:]
        logits = model.encode_decode(image, [{'img_shape': size}])
        truths.append(labels_of(logits, size, metadata))
    title = f"{len(images)} --images, with the trained network's labels as the truth"
    return TestSet(images, truths, 255, title)


def _samples(
    cfg: Config, loader: str, pipeline: list[dict[str, Any]], count: int, spread: bool = False
) -> tuple[list[dict[str, Any]], BaseSegDataset]:
    """The first samples of a loader's data set, or some at equal distances, and the data set."""
    if not cfg.get(loader):
        raise ValueError(f'the config has no {loader}; give images with --images')
    settings = copy.deepcopy(cfg[loader]['dataset'])
    while 'dataset' in settings:  # repeats another
        settings = settings['dataset']
    settings['pipeline'] = pipeline
    name = loader.removesuffix('_dataloader')
    try:
        dataset = DATASETS.build(settings)
        step = max(1, len(dataset) // count) if spread else 1
        samples = [dataset[i * step] for i in range(min(count, len(dataset)))]
    # MMEngine asserts that files are there; a joined data set takes no pipeline.
    except (AssertionError, OSError, TypeError, ValueError) as error:
        raise ValueError(
            f'the {name} data set of the config cannot be read ({error}); give images with --images'
        ) from error
    return samples, dataset


def _preprocessed(model: EncoderDecoder, sample: dict[str, Any]) -> Tensor:
    """Network input (1, 3, h, w) of a pipeline's result."""
    data = {'inputs': [sample['inputs']], 'data_samples': [sample['data_samples']]}
    return model.data_preprocessor(data, False)['inputs']


def _image_pipeline(cfg: Config) -> list[dict[str, Any]]:
    """The test pipeline without what reads labels."""
    return [copy.deepcopy(t) for t in _test_pipeline(cfg) if class_name(t) not in _READ_LABELS]


def class_name(settings: Mapping[str, Any]) -> str:
    """The name of a settings' class, be that given by name, by name with a scope, or itself."""
    kind = settings['type']
    return kind.__name__ if isinstance(kind, type) else kind.rpartition('.')[2]


def _test_pipeline(cfg: Config) -> list[dict[str, Any]]:
    dataset = (cfg.get('test_dataloader') or {}).get('dataset') or {}
    pipeline = dataset.get('pipeline') or cfg.get('test_pipeline')
    if not pipeline:
        raise ValueError('the config has neither a test_dataloader with a pipeline nor one itself')
    return pipeline


class ToolboxPredictor(Predictor):
    """A config and its checkpoint, through the toolbox: test pipeline, whole or sliding window.

    Args:
        config: Path or content.
        checkpoint: Path or address.
        device: ``'cpu'``, ``'cuda:0'``, ...
        cfg_options: Values to override, with dotted keys.
        trust: Read a checkpoint that may run code while it is read.

    Raises:
        FileNotFoundError: There is no checkpoint.
        ValueError: The checkpoint does not fit the config, or needs to be trusted.
    """

    def __init__(
        self,
        config: str | Path | Config,
        checkpoint: str,
        device: str = 'cpu',
        cfg_options: dict[str, Any] | None = None,
        trust: bool = False,
    ) -> None:
        self.model = load_model(config, checkpoint, cfg_options, trust).to(device)
        self.model.cfg.test_pipeline = _image_pipeline(self.model.cfg)
        self.classes, self.palette = class_colours(self.model.dataset_meta, self.model.num_classes)

    def predict(self, image: np.ndarray) -> np.ndarray:
        """See the base class."""
        return inference_model(self.model, image).pred_sem_seg.data[0].cpu().numpy()


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
        self.classes, self.palette = self.metadata.classes, self.metadata.palette

    @torch.no_grad()
    def logits(self, inputs: np.ndarray) -> np.ndarray:
        """See the base class."""
        return self.network(torch.from_numpy(inputs).to(self.device)).cpu().numpy()


def load_predictor(path: str | Path, device: str = 'cpu') -> FilePredictor:
    """The predictor of an exported file, by its suffix.

    Args:
        path: ``*.onnx``, ``*.torchscript`` or ``*.pt2``.
        device: ``'cpu'``, ``'cuda:0'``, ...

    Raises:
        ImportError: The format's library is missing.
        ValueError: Another suffix, or the file cannot be used.
    """
    kinds = {'.onnx': OnnxPredictor, '.torchscript': TorchPredictor, '.pt2': TorchPredictor}
    suffix = Path(path).suffix
    if suffix not in kinds:
        raise ValueError(
            f'{path}: expected a file *{", *".join(kinds)}; a checkpoint needs its config'
        )
    return kinds[suffix](path, device)
