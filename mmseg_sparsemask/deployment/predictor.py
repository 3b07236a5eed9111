"""Label maps of images by MMSegmentation's model, and what a file exported from it has to know."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform, LoadAnnotations, LoadImageFromFile, Resize
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import Registry, init_default_scope
from mmseg.datasets.transforms import LoadImageFromNDArray, PackSegInputs
from mmseg.models import SegDataPreProcessor
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import DATASETS, MODELS, TRANSFORMS
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_sparsemask.datasets.items import stated_meta
from mmseg_sparsemask.datasets.palette import voc_palette
from mmseg_sparsemask.deployment.metadata import Metadata, is_resize
from mmseg_sparsemask.deployment.onnx_predictor import Predictor
from mmseg_sparsemask.models.backbones.probing import image_channels
from mmseg_sparsemask.models.pretrained import without_weights
from mmseg_sparsemask.utils.checkpoints import load_checkpoint, load_strictly
from mmseg_sparsemask.utils.read_config import override, read_config
from mmseg_sparsemask.utils.tool_command import tool_command

#: Transforms that read the labels of an image, besides those derived from MMCV's.
LABEL_LOADERS = (
    *('LoadBSDSBoundaries', 'LoadDepthAnnotation', 'LoadInstanceBoundaries', 'LoadSaliencyMask'),
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
    cfg = copy.deepcopy(config) if isinstance(config, Config) else read_config(config)
    override(cfg, cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    content = load_checkpoint(checkpoint, trust)
    model = MODELS.build(without_weights(cfg.model))
    load_strictly(model, content, checkpoint)
    model.cfg = cfg
    meta = content.get('meta', {}).get('dataset_meta')
    model.dataset_meta = _dataset_meta(cfg) if meta is None else meta
    return model.eval()


def _dataset_meta(cfg: Config) -> dict[str, Any]:
    dataset = (cfg.get('test_dataloader') or {}).get('dataset') or {}
    kind = _class_of(dataset['type'], DATASETS) if dataset.get('type') else None
    known, meta = getattr(kind, 'METAINFO', {}), stated_meta(kind, dataset)
    colours = dict(zip(known.get('classes') or (), known.get('palette') or ()))
    chosen = meta.get('classes')
    # Classes that a config chooses keep their colours, as the data set itself sees to.
    if chosen and meta.get('palette') == known.get('palette') and set(chosen) <= colours.keys():
        meta['palette'] = [colours[name] for name in chosen]
    return meta


def class_colours(
    meta: Mapping[str, Any], count: int
) -> tuple[tuple[str, ...], tuple[tuple[int, int, int], ...]]:
    """Names and colours of `count` labels, from a data set's meta information where it has them.

    Raises:
        ValueError: It has fewer of them, or something else than names and three numbers each.
    """
    try:
        classes = meta.get('classes') or [f'class {label}' for label in range(count)]
        palette = meta.get('palette') or voc_palette(len(classes))
        names = not isinstance(classes, str) and all(isinstance(name, str) for name in classes)
        if names and len(palette) == len(classes) >= count:
            return tuple(classes), tuple((int(r), int(g), int(b)) for r, g, b in palette)
    except (AttributeError, OverflowError, RuntimeError, TypeError, ValueError):
        pass
    raise ValueError(
        'dataset_meta: expected a list of names as classes and one of three numbers each as '
        f'palette, a name and a colour for each of {count} classes, got {meta!r:.80}'
    )


def pipeline_steps(cfg: Config, labels: bool = False) -> list[dict[str, Any]]:
    """The test pipeline without what reads labels, or that alone; each ``type`` is a class.

    Raises:
        ValueError: There is none, or a transform is unknown.
    """
    dataset = (cfg.get('test_dataloader') or {}).get('dataset') or {}
    pipeline = dataset.get('pipeline') or cfg.get('test_pipeline')
    if not pipeline:
        raise ValueError('the config has neither a test_dataloader with a pipeline nor one itself')
    steps = []
    for step in pipeline:
        kind = _class_of(step['type'], TRANSFORMS)
        reads = issubclass(kind, LoadAnnotations) or kind.__name__ in LABEL_LOADERS
        if reads == labels:
            steps.append({**copy.deepcopy(dict(step)), 'type': kind})
    return steps


def _class_of(kind: str | type, registry: Registry) -> type:
    """What a ``type`` of a config stands for: pure-Python configs have classes there."""
    found = registry.get(kind) if isinstance(kind, str) else kind
    if found is None:
        raise ValueError(f'the config names {kind!r}, which is not registered')
    return found


def metadata_of(model: EncoderDecoder) -> Metadata:
    """What a file exported from a model of `load_model` has to know.

    Raises:
        ValueError: The config prepares images, or takes windows of them, as no file can; the
            message names what.
    """
    preprocessor = model.data_preprocessor
    channels = image_channels(model.backbone)
    mean, std = [0.0] * channels, [1.0] * channels
    if getattr(preprocessor, '_enable_normalize', False):
        mean, std = (
            values.flatten().expand(channels).tolist()
            for values in (preprocessor.mean, preprocessor.std)
        )
    classes, palette = class_colours(model.dataset_meta, model.num_classes)
    return Metadata(
        mean=tuple(mean),
        std=tuple(std),
        bgr_to_rgb=channels == 3 and bool(preprocessor._channel_conversion),
        resize=_resizes(model, channels),
        classes=classes,
        palette=palette,
        threshold=float(model.decode_head.threshold) if model.out_channels == 1 else None,
        align_corners=bool(model.align_corners),
    )


def _resizes(model: EncoderDecoder, channels: int) -> tuple[dict[str, Any], ...]:
    """The resizes of a test pipeline, if a file can do all that its config does."""
    preprocessor, mode = model.data_preprocessor, (model.test_cfg or {}).get('mode', 'whole')
    if type(preprocessor) is not SegDataPreProcessor or preprocessor.test_cfg:
        raise _refused(
            f'data_preprocessor {type(preprocessor).__name__} with test_cfg='
            f'{getattr(preprocessor, "test_cfg", None)}; expected SegDataPreProcessor without',
            'model.data_preprocessor.test_cfg=None',
        )
    if mode != 'whole':
        raise _refused(f'model.test_cfg.mode={mode!r}', 'model.test_cfg.mode=whole')
    steps = pipeline_steps(model.cfg)
    if len(steps) < 2:
        raise _refused(f'a pipeline of {[_written(step) for step in steps]} alone')
    first, *between, last = map(TRANSFORMS.build, steps)
    colours = {1: 'grayscale', 3: 'color'}.get(channels, 'unchanged')
    loads = type(first) is LoadImageFromNDArray or (
        type(first) is LoadImageFromFile
        and (first.color_type, first.imdecode_backend) == (colours, 'cv2')
    )
    if not loads or first.to_float32:
        raise _refused(
            f'{_written(steps[0])} first; expected LoadImageFromFile(to_float32=False, '
            f"color_type={colours!r}, imdecode_backend='cv2')"
        )
    if type(last) is not PackSegInputs:
        raise _refused(f'{_written(steps[-1])} last; expected PackSegInputs')
    found: list[dict[str, Any]] = []
    for step, written in zip(between, steps[1:]):
        if _only_resizes(step):
            size = {'scale': step.scale} if step.scale else {'scale_factor': step.scale_factor}
            rest = {'keep_ratio': step.keep_ratio, 'interpolation': step.interpolation}
            found.append({**{key: [*values] for key, values in size.items()}, **rest})
        if not _only_resizes(step) or not is_resize(found[-1]):
            raise _refused(_written(written))
    return tuple(found)


def _only_resizes(step: BaseTransform) -> bool:
    """Whether images meet MMCV's ``Resize``; MMSegmentation's own differs for labels alone."""
    return (
        isinstance(step, Resize)
        and step.backend == 'cv2'
        and type(step).__init__ is Resize.__init__
        and type(step).transform is Resize.transform
        and type(step)._resize_img is Resize._resize_img
    )


def _written(step: Mapping[str, Any]) -> str:
    """A transform as its config has it."""
    options = ', '.join(f'{key}={value!r}' for key, value in step.items() if key != 'type')
    return f'{step["type"].__name__}({options:.200})'


def _refused(what: str, option: str = 'test_dataloader.dataset.pipeline=...') -> ValueError:
    return ValueError(
        f'an exported file cannot do what the config asks for in testing: {what}. It reads, '
        f'resizes and normalises an image; leave this out ({option}, in a config that inherits '
        f'this one or by --cfg-options of {tool_command("deployment/export")}), or predict with '
        'the config and its checkpoint'
    )


def network_input(model: EncoderDecoder, image: np.ndarray | str | Path) -> Tensor:
    """What the network gets of an image: the test pipeline's result, normalised, (1, C, h, w).

    Args:
        model: From `load_model`.
        image: (H, W, C) uint8, BGR; or its file.
    """
    return model.data_preprocessor(_prepared(model.cfg, image), False)['inputs']


def _prepared(cfg: Config, image: np.ndarray | str | Path) -> dict[str, Any]:
    """A batch of one image, by the test pipeline."""
    first, *others = pipeline_steps(cfg)
    if isinstance(image, np.ndarray):
        first, found = {**first, 'type': LoadImageFromNDArray}, dict(img=image)
    else:
        found = dict(img_path=str(image))
    sample = Compose([first, *others])(found) or {}
    if not isinstance(sample.get('inputs'), Tensor):
        raise ValueError(
            f'the test pipeline gives {type(sample.get("inputs")).__name__} of an image, expected '
            'one tensor; leave out TestTimeAug, and end with PackSegInputs'
        )
    return {'inputs': [sample['inputs']], 'data_samples': [sample['data_samples']]}


class ModelPredictor(Predictor):
    """A model of MMSegmentation: its test pipeline, whole or in sliding windows.

    Args:
        model: In evaluation mode, with ``cfg`` and ``dataset_meta`` as of `load_model`.

    Attributes:
        model: The model.
    """

    def __init__(self, model: EncoderDecoder) -> None:
        self.model = model
        self.classes, self.palette = class_colours(model.dataset_meta, model.num_classes)
        self.channels = image_channels(model.backbone)

    @torch.no_grad()
    def sample(self, image: np.ndarray | str | Path) -> SegDataSample:
        """What the model says of an image (H, W, C), uint8, BGR, or of an image's file.

        Raises:
            ValueError: The pipeline or the network cannot take the image.
        """
        try:
            return self.model.test_step(_prepared(self.model.cfg, image))[0]
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # whatever the toolbox asserts, looks up or computes
            reason = ' '.join(str(error).split())
            raise ValueError(f'the network cannot label this image ({reason})') from error

    def predict(self, image: np.ndarray) -> np.ndarray:
        """See the base class."""
        return self.sample(image).pred_sem_seg.data[0].cpu().numpy()


class ToolboxPredictor(ModelPredictor):
    """A config and its checkpoint.

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
        super().__init__(load_model(config, checkpoint, cfg_options, trust).to(device))
