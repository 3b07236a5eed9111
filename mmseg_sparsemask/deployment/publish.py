"""Writing a folder to hand on: weights, configuration, connectivity, figures, scores and a card."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from mmseg.models.segmentors import EncoderDecoder

from mmseg_sparsemask.connectivity import Connectivity, load, save
from mmseg_sparsemask.connectivity.draw import draw_graph
from mmseg_sparsemask.deployment.deployed import deployed_segmentor
from mmseg_sparsemask.deployment.export import export, random_inputs, smallest_image
from mmseg_sparsemask.deployment.metadata import class_colours
from mmseg_sparsemask.deployment.predictor import _image_pipeline, metadata_of
from mmseg_sparsemask.deployment.published import (
    CONFIG,
    FORMAT,
    READING_KEYS,
    VERSION,
    WEIGHTS,
    encode,
    read_description,
)
from mmseg_sparsemask.utils.extras import require_extra
from mmseg_sparsemask.utils.figures import save_figure
from mmseg_sparsemask.utils.files import write_atomically, write_json
from mmseg_sparsemask.version import __version__

#: Of a configuration, what says where on a machine something ran.
LOCAL_KEYS = ('custom_hooks', 'launcher', 'load_from', 'resume', 'visualizer', 'work_dir')

#: Figures and pages of a search that are taken along, with what they are.
SEARCH_FILES = {
    'connection_weights.svg': 'the connection weights over the search',
    'budget.svg': 'the cost over the search',
    'report.html': 'the search, to look at: open it in a browser',
}


@dataclass
class Scores:
    """What a network was measured to give.

    Attributes:
        values: By name of the metric.
        dataset: What it was measured on.
        command: That measures it.
    """

    values: dict[str, float] = field(default_factory=dict)
    dataset: str = ''
    command: str = ''


def publish(
    model: EncoderDecoder,
    out: str | os.PathLike[str],
    name: str,
    scores: Scores | None = None,
    search_dir: str | os.PathLike[str] | None = None,
    onnx: bool = False,
    image_size: tuple[int, int] = (512, 512),
    licence: str | None = None,
) -> list[Path]:
    """Write the folder, whole or not at all.

    Args:
        model: From `load_model`, with ``cfg`` and ``dataset_meta``.
        out: The folder; it must not exist, or be empty.
        name: Of the network.
        scores: None if it was not evaluated.
        search_dir: Work directory of the search, whose figures are taken along if its
            connectivity.json is the network's.
        onnx: Also write model.onnx.
        image_size: (height, width) to trace the network with for ONNX.
        licence: Of the weights, by the hub's identifier such as ``'apache-2.0'``.

    Returns:
        The files.

    Raises:
        ImportError: An extra is missing.
        ValueError: The folder holds something; the config holds more than plain values; the
            network cannot be published or exported.
    """
    require_extra('safetensors', 'hub')
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f'{out}: exists and is not empty; name another folder')
    scores = scores or Scores()
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=out.parent, prefix=f'.{out.name}.'))
    try:
        files = _write_network(model, folder, search_dir)
        if scores.values:
            write_json(folder / 'scores.json', vars(scores))
            files['scores.json'] = 'the scores, with data set and command'
        if onnx:
            smallest = smallest_image(deployed_segmentor(model, image_size))
            inputs = random_inputs(image_size, smallest)
            path = folder / 'model.onnx'
            export(model, path, 'onnx', metadata_of(model), inputs, image_size=image_size)
            files[path.name] = 'the network for onnxruntime'
        card = model_card(model, name, scores, files, out.name, licence)
        write_atomically(folder / 'README.md', card)
        folder.chmod(0o755)
        if out.exists():
            out.rmdir()
        folder.rename(out)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return sorted(out.iterdir())


def _write_network(
    model: EncoderDecoder, folder: Path, search_dir: str | os.PathLike[str] | None
) -> dict[str, str]:
    """Write weights, configuration and connectivity; what each file is."""
    from safetensors.torch import save as to_bytes

    state = {key: value.contiguous().cpu() for key, value in model.state_dict().items()}
    write_atomically(folder / WEIGHTS, to_bytes(state, {'format': 'pt'}))
    files = {WEIGHTS: 'the weights', CONFIG: 'the network and how it was trained, as JSON'}
    write_json(folder / CONFIG, description(model))
    read_description(folder / CONFIG)  # what could not be loaded is not published
    connectivity = _connectivity_of(model)
    if connectivity is None:
        return files
    files['connectivity.json'] = 'the connections of the decoder'
    files['connectivity.svg'] = 'the same, drawn'
    path = Path(search_dir or '', 'connectivity.json')
    if search_dir is not None and path.is_file() and (found := load(path)) == connectivity:
        connectivity = found  # it also knows where it comes from
        for file, meaning in SEARCH_FILES.items():
            if (path.parent / file).is_file():
                shutil.copyfile(path.parent / file, folder / file)
                files[file] = meaning
    save(connectivity, folder / 'connectivity.json')
    save_figure(draw_graph(connectivity), folder / 'connectivity.svg')
    return files


def _connectivity_of(model: EncoderDecoder) -> Connectivity | None:
    found = getattr(model.decode_head, 'connectivity', None)
    return found if isinstance(found, Connectivity) else None


def description(model: EncoderDecoder) -> dict[str, Any]:
    """The content of config.json.

    Raises:
        ValueError: The config holds more than plain values.
    """
    config = model.cfg.to_dict()
    network = _without_reading(config.pop('model'))
    connectivity = _connectivity_of(model)
    if connectivity is not None:
        # A path would lead nowhere elsewhere.
        stages = {stage: list(sources) for stage, sources in connectivity.stages.items()}
        network['decode_head']['connectivity'] = {
            'strides': list(connectivity.strides),
            'stages': stages,
        }
    classes, palette = class_colours(model.dataset_meta, model.num_classes)
    content = {
        'format': FORMAT,
        'version': VERSION,
        'library': f'mmseg-sparsemask {__version__}',
        'model': network,
        'test_pipeline': _image_pipeline(model.cfg),
        'dataset_meta': {'classes': list(classes), 'palette': [list(colour) for colour in palette]},
        'training': {key: value for key, value in config.items() if key not in LOCAL_KEYS},
    }
    return encode(content)


def _without_reading(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {k: _without_reading(v) for k, v in node.items() if k not in READING_KEYS}
    if isinstance(node, (list, tuple)):
        return type(node)(map(_without_reading, node))
    return node


def model_card(
    model: EncoderDecoder,
    name: str,
    scores: Scores,
    files: Mapping[str, str],
    place: str,
    licence: str | None = None,
) -> str:
    """The README.md, in Markdown with the metadata that the Hugging Face hub reads.

    Args:
        model: Whose sizes and classes it states.
        name: Of the network.
        scores: Without values it says that there are none.
        files: What each file of the folder is.
        place: What the example loads.
        licence: Of the weights.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / 'templates'),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_one_line,
    )
    classes, _ = class_colours(model.dataset_meta, model.num_classes)
    connectivity = _connectivity_of(model)
    return environment.get_template('card.md.jinja').render(
        metadata=_Text(_hub_metadata(name, scores, licence)),
        name=name,
        place=place,
        scores=scores.values,
        dataset=scores.dataset,
        command=_Text(_one_line(scores.command)),
        connectivity=connectivity,
        parameters=sum(p.numel() for p in model.parameters()),
        decoder_parameters=sum(p.numel() for p in model.decode_head.parameters()),
        head=type(model.decode_head).__name__,
        classes=', '.join(f'{number} {text}' for number, text in enumerate(classes)),
        class_count=len(classes),
        files=files,
        onnx='model.onnx' in files,
    )


class _Text(str):
    """Text for a block in which Markdown knows no HTML: it stays as it is."""

    def __html__(self) -> str:
        return str(self)


def _one_line(value: Any) -> Any:
    """Text from elsewhere cannot begin lines or cells of its own."""
    if isinstance(value, str) and not hasattr(value, '__html__'):
        return ' '.join(value.split()).replace('|', '/').replace('`', "'")
    return value


def _hub_metadata(name: str, scores: Scores, licence: str | None) -> str:
    content: dict[str, Any] = {
        'library_name': 'mmseg-sparsemask',
        'pipeline_tag': 'image-segmentation',
        'tags': ['semantic-segmentation', 'mmsegmentation', 'sparsemask'],
    }
    if licence is not None:
        content['license'] = licence
    if scores.values:
        kind = '-'.join(scores.dataset.lower().split())
        metrics = [
            {'type': 'mean_iou' if key == 'mIoU' else key, 'value': float(value), 'name': key}
            for key, value in scores.values.items()
        ]
        task = {'type': 'image-segmentation', 'name': 'Semantic segmentation'}
        dataset = {'name': scores.dataset, 'type': kind}
        results = [{'task': task, 'dataset': dataset, 'metrics': metrics}]
        content['model-index'] = [{'name': name, 'results': results}]
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True).strip()
