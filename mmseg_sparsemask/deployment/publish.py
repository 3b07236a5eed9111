"""Writing a folder to hand on: weights, configuration, connectivity, figures, scores and a card."""

from __future__ import annotations

import hashlib
import math
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS, TRANSFORMS

from mmseg_sparsemask.connectivity import Connectivity, load, save
from mmseg_sparsemask.connectivity.draw import draw_graph
from mmseg_sparsemask.deployment import published
from mmseg_sparsemask.deployment.deployed import deployed_segmentor
from mmseg_sparsemask.deployment.export import export, random_inputs, smallest_image
from mmseg_sparsemask.deployment.predictor import class_colours, metadata_of, pipeline_steps
from mmseg_sparsemask.models import allowed
from mmseg_sparsemask.models.backbones.probing import image_channels
from mmseg_sparsemask.report.page import templates_beside
from mmseg_sparsemask.utils.extras import require_extra, requirement
from mmseg_sparsemask.utils.figures import save_figure
from mmseg_sparsemask.utils.files import write_atomically, write_json
from mmseg_sparsemask.utils.markup import one_line, plain_text
from mmseg_sparsemask.utils.registered import registered_class
from mmseg_sparsemask.version import __version__

#: Figures and pages of a search that are taken along, with what they are.
SEARCH_FILES = {
    'connection_weights.svg': 'the connection weights over the search',
    'budget.svg': 'the cost over the search',
    'report.html': 'the search, to look at: open it in a browser',
}


# What to do next, on a page or with a point of its front: it names files of this machine.
_COMMANDS = re.compile(
    r'<section>\s*<h2>Go on</h2>.*?</section>|<p>[^<]*</p>\s*<pre[^>]*><code>.*?</code></pre>', re.S
)


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
        name: Name of the network.
        scores: None if it was not evaluated.
        search_dir: Work directory of the search, whose figures are taken along if its
            connectivity.json is the network's.
        onnx: Also write model.onnx.
        image_size: (height, width) to trace the network with for ONNX.
        licence: Licence of the weights, by the hub's identifier such as ``'apache-2.0'``.

    Returns:
        The files.

    Raises:
        ImportError: An extra is missing.
        ValueError: The folder holds something; the network has a class or a setting that may not
            be published, or cannot be exported; weights or scores are not finite.
    """
    require_extra('safetensors', 'hub')
    # What a link names is filled, and the link stays one.
    out = Path(os.path.realpath(out))
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f'{out}: exists and is not empty; name another folder')
    scores = scores or Scores()
    if not all(map(math.isfinite, scores.values.values())):
        raise ValueError(f'scores: expected finite numbers, got {scores.values}')
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = out.with_name(f'.{out.name}.{secrets.token_hex(4)}')
    folder.mkdir()
    try:
        files = _write_network(model, folder, search_dir)
        # What could not be loaded is not published. It has no auxiliary heads.
        network = published.load_published(folder).model
        if scores.values:
            write_json(folder / 'scores.json', vars(scores))
            files['scores.json'] = 'the scores, with data set and command'
        if onnx:
            smallest = smallest_image(deployed_segmentor(model, image_size))
            inputs = random_inputs(image_size, smallest, image_channels(model.backbone))
            path = folder / 'model.onnx'
            export(model, path, 'onnx', metadata_of(model), inputs, image_size=image_size)
            files[path.name] = 'the network for onnxruntime'
        card = model_card(network, name, scores, files, out.name, licence)
        write_atomically(folder / 'README.md', card)
        if out.exists():
            shutil.copymode(out, folder)
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

    content = description(model)
    with published.WithoutValues():
        names = published.build(content).state_dict()
    # Weights of losses and of auxiliary heads are for training alone.
    state = {k: v.contiguous().cpu() for k, v in model.state_dict().items() if k in names}
    weights = to_bytes(state, {'format': 'pt'})
    write_atomically(folder / published.WEIGHTS, weights)
    content = published.encode({**content, 'weights': hashlib.sha256(weights).hexdigest()})
    content['checksum'] = published.checksum(content)
    write_json(folder / published.CONFIG, content)
    files = {published.WEIGHTS: 'the weights', published.CONFIG: 'the network, as JSON'}
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
                text = (path.parent / file).read_text(encoding='utf-8')
                write_atomically(folder / file, _COMMANDS.sub('', text))
                files[file] = meaning
    save(connectivity, folder / 'connectivity.json')
    save_figure(draw_graph(connectivity), folder / 'connectivity.svg')
    return files


def _connectivity_of(model: EncoderDecoder) -> Connectivity | None:
    found = getattr(model.decode_head, 'connectivity', None)
    return found if isinstance(found, Connectivity) else None


def description(model: EncoderDecoder) -> dict[str, Any]:
    """What config.json says of a network: how to build it, its images, its classes.

    Raises:
        ValueError: A class, setting or value may not be published; the message names it.
    """
    network = published_settings(model.cfg.model.to_dict(), MODELS)
    connectivity = _connectivity_of(model)
    if connectivity is not None:
        # A path would lead nowhere elsewhere.
        stages = {stage: list(sources) for stage, sources in connectivity.stages.items()}
        network['decode_head']['connectivity'] = {
            'strides': list(connectivity.strides),
            'stages': stages,
        }
    for name in ('neck', 'decode_head'):
        if 'cell' in (network.get(name) or {}):
            cell = getattr(model, name).context.cell.cell.to_dict()
            network[name]['cell'] = {key: cell[key] for key in ('format', 'version', 'branches')}
    classes, palette = class_colours(model.dataset_meta, model.num_classes)
    content = {
        'format': published.FORMAT,
        'version': published.VERSION,
        'library': f'mmseg-sparsemask {__version__}',
        'model': network,
        'test_pipeline': published_settings(pipeline_steps(model.cfg), TRANSFORMS),
        'dataset_meta': {
            'classes': [one_line(text)[:200] for text in classes],
            'palette': [list(colour) for colour in palette],
        },
    }
    published.check({**content, 'weights': '', 'checksum': ''}, 'this network cannot be published')
    return content


def published_settings(node: Any, registry: Any) -> Any:
    """A config without what is left out, with the names of classes that are allowed."""
    if isinstance(node, (list, tuple)):
        return type(node)(published_settings(child, registry) for child in node)
    if not isinstance(node, Mapping):
        return node
    kept = {key: value for key, value in node.items() if key not in allowed.LEFT_OUT}
    kept = {key: published_settings(value, registry) for key, value in kept.items()}
    if 'type' in kept:
        kind = kept['type']
        found = kind if isinstance(kind, type) else registered_class(kind, registry)
        names = {registered_class(name, registry): name for name in allowed.NAMES}
        kept['type'] = names.get(found, kind) if found else kind
        if kept['type'] in allowed.FETCHING:
            kept['pretrained'] = False
    return kept


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
        name: Name of the network.
        scores: Without values it says that there are none.
        files: What each file of the folder is.
        place: What the example loads.
        licence: Licence of the weights.
    """
    classes, _ = class_colours(model.dataset_meta, model.num_classes)
    templates = templates_beside(__file__, finalize=_as_text)
    return templates.get_template('card.md.jinja').render(
        metadata=_Raw(_hub_metadata(name, scores, licence)),
        name=name,
        requirement=_Raw(requirement('onedl', 'hub')),
        place=_Raw(repr(place)),
        scores=scores.values,
        dataset=scores.dataset,
        command=_Raw(one_line(scores.command)),
        connectivity=_connectivity_of(model),
        parameters=sum(p.numel() for p in model.parameters()),
        decoder_parameters=sum(p.numel() for p in model.decode_head.parameters()),
        head=type(model.decode_head).__name__,
        classes=', '.join(f'{number} {text}' for number, text in enumerate(classes)),
        class_count=len(classes),
        files={_Raw(file): _Raw(meaning) for file, meaning in files.items()},
        onnx='model.onnx' in files,
    )


class _Raw(str):
    """Text that is no text to be read: metadata, and what stands in a block of code."""


def _as_text(value: Any) -> Any:
    """Text as Markdown and HTML show it: nothing in it is markup, or begins a line of its own."""
    if not isinstance(value, str) or isinstance(value, _Raw):
        return value
    return plain_text(value)


def _hub_metadata(name: str, scores: Scores, licence: str | None) -> str:
    name, dataset, licence = (one_line(text or '') for text in (name, scores.dataset, licence))
    content: dict[str, Any] = {
        'library_name': 'mmseg-sparsemask',
        'pipeline_tag': 'image-segmentation',
        'tags': ['semantic-segmentation', 'mmsegmentation', 'sparsemask'],
    }
    if licence:
        content['license'] = licence
    if scores.values:
        kind = '-'.join(dataset.lower().split())
        metrics = [
            {'type': 'mean_iou' if key == 'mIoU' else key, 'value': float(value), 'name': key}
            for key, value in scores.values.items()
        ]
        task = {'type': 'image-segmentation', 'name': 'Semantic segmentation'}
        results = [{'task': task, 'dataset': {'name': dataset, 'type': kind}, 'metrics': metrics}]
        content['model-index'] = [{'name': name, 'results': results}]
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True).strip()
