"""Rows from configs and from what their runs left in the work directories."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mmseg_sparsemask.compare.table import Row
from mmseg_sparsemask.models.decode_heads import FDNHead
from mmseg_sparsemask.models.decode_heads.fusion_head import FusionHead

#: Ways in which what a search found is trained, and the config and folder of each.
TRAININGS = {'fine-tuned': 'finetune', 'from scratch': 'retrain'}

#: What a run is compared by, as its log has it and as the table names it; the first that is there.
HEADLINES = {'mIoU': 'mIoU', 'edge/ODS': 'ODS', 'saliency/max_f': 'max F'}


@dataclass
class Method:
    """A row and the model it is about; None when it could not be built."""

    row: Row
    model: nn.Module | None = None


@dataclass(frozen=True)
class Score:
    """A score found in a work directory, what it was measured on, and its name in the table.

    mIoU is in percent; ODS and max F lie in [0, 1].
    """

    value: float
    source: str
    metric: str = 'mIoU'


def collect(
    config: str | Path, work_roots: Sequence[str | Path], image_size: tuple[int, int]
) -> list[Method]:
    """The rows of a config.

    A search (its head is an ``FDNHead``) stands for what it found: for each of ``finetune.py`` and
    ``retrain.py`` in its work directory there is a row with the model and the results of that
    training. Everything else is one row.

    Args:
        config: Path of the config.
        work_roots: Folders with a work directory named as the config in each, one for each run;
            mean and spread go over those that hold a result. A config that sets ``work_dir``
            itself has that one only.
        image_size: (height, width) for the multiply-adds.

    Returns:
        What is known; what went wrong is in a row's notes.
    """
    config = Path(config)
    name = _name(config)
    # A row that fails must not take the table with it, whatever its config is.
    try:
        cfg = Config.fromfile(str(config))
        work_dirs = [Path(root) / config.stem for root in work_roots]
        if cfg.get('work_dir'):
            work_dirs = [Path(cfg.work_dir)]
        if cfg.model.get('decode_head', {}).get('type') != 'FDNHead':
            return [_method(Row(name), cfg, work_dirs, image_size)]
    except Exception as error:  # noqa: BLE001
        return [Method(Row(name, notes=[f'cannot be built: {one_line(error)}']))]
    trainings = [
        (way, folder, found)
        for way, folder in TRAININGS.items()
        if (found := [path for path in work_dirs if (path / f'{folder}.py').is_file()])
    ]
    if not trainings:
        searched = ', '.join(map(str, work_dirs))
        note = f'the supernet is shown: no retrain.py in {searched}, train and prune first'
        return [_method(Row(name, notes=[note]), cfg, work_dirs, image_size)]
    return [
        _trained(Row(f'{name}, {way}'), folder, found, image_size)
        for way, folder, found in trainings
    ]


def _trained(
    row: Row, folder: str, searches: Sequence[Path], image_size: tuple[int, int]
) -> Method:
    """A row of what several runs of a search found, trained in one way."""
    config = searches[0] / f'{folder}.py'
    if len(searches) > 1:
        row.notes.append(f'the size is that of the decoder in {searches[0]}')
    row.notes.append(f'searched, then trained with {config}')
    try:
        cfg = _training_config(config)
    except Exception as error:  # noqa: BLE001
        row.notes.append(f'cannot be built: {one_line(error)}')
        return Method(row)
    return _method(row, cfg, [search / folder for search in searches], image_size)


def _training_config(config: Path) -> Config:
    """A ``finetune.py`` or ``retrain.py``; moved away from its base, the training's own copy."""
    try:
        return Config.fromfile(str(config))
    except FileNotFoundError:
        copied = config.parent / config.stem / config.name
        if not copied.is_file():
            raise
        return Config.fromfile(str(copied))


def _method(
    row: Row, cfg: Config, work_dirs: Sequence[Path], image_size: tuple[int, int]
) -> Method:
    try:
        model = build_segmentor(cfg)
        fill_sizes(model, row, image_size)
    except Exception as error:  # noqa: BLE001
        row.notes.append(f'cannot be built: {one_line(error)}')
        return Method(row)
    scores = [score for directory in work_dirs if (score := find_score(directory)) is not None]
    row.metric = scores[-1].metric if scores else row.metric
    scores = [score for score in scores if score.metric == row.metric]
    row.scores = [score.value for score in scores]
    row.score_source = ', '.join(sorted({score.source for score in scores}))
    if not scores:
        row.notes.append(f'no result in {", ".join(map(str, work_dirs))}')
    return Method(row, model)


def _name(config: Path) -> str:
    """A config's name; what a search found is named after the search and the way of training."""
    for way, name in TRAININGS.items():
        if config.stem == name:
            return f'{config.absolute().parent.name}, {way}'
    return config.stem


def build_segmentor(cfg: Config) -> nn.Module:
    """The model of a config in evaluation mode, without what needs several processes."""
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    # Syncing batch statistics needs a process group and has no part in the size.
    built = revert_sync_batchnorm(MODELS.build(cfg.model))
    # Not chained: some backbones' train() returns nothing.
    built.eval()
    return built


def fill_sizes(model: nn.Module, row: Row, image_size: tuple[int, int]) -> None:
    """Fill in a row's connections, parameters and multiply-adds.

    Args:
        model: An ``EncoderDecoder``.
        row: What cannot be counted is said in its notes.
        image_size: (height, width) in pixels, for the multiply-adds.
    """
    head = model.decode_head
    encoder = [model.backbone, *([model.neck] if model.with_neck else [])]
    row.encoder_parameters = sum(_parameters(module) for module in encoder)
    row.decoder_parameters = decoder_parameters(head)
    connectivity = getattr(head, 'connectivity', None)
    row.connections = len(connectivity) if connectivity is not None else None
    try:
        row.encoder_multiply_adds, row.decoder_multiply_adds = multiply_adds(model, image_size)
    except Exception as error:  # noqa: BLE001
        row.notes.append(f'multiply-adds cannot be counted: {one_line(error)}')


def decoder_parameters(head: nn.Module) -> int:
    """Parameters of a decode head; the connection weights of a search do not count."""
    weights = _parameters(head.connections) if isinstance(head, FDNHead) else 0
    return _parameters(head) - weights


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def multiply_adds(model: nn.Module, image_size: tuple[int, int]) -> tuple[int, int]:
    """Multiply-adds of encoder (with neck) and decode head for one image.

    Convolutions and matrix products, each multiply-add once; nothing else. Decoders with a
    connectivity are counted from that (`DecoderShape`), as their equations are written and whatever
    way they are computed; everything else as it runs on the meta device, where nothing is computed.

    Args:
        model: An ``EncoderDecoder``.
        image_size: (height, width) in pixels.
    """
    probe = copy.deepcopy(model).to('meta')
    probe.eval()
    with torch.no_grad():
        image = torch.zeros(1, 3, *image_size, device='meta')
        encoder, features = _count_products(probe.extract_feat, image)
        head = model.decode_head
        if isinstance(head, FusionHead):
            return encoder, head.shape.cost(head.connectivity, image_size).multiply_adds
        return encoder, _count_products(probe.decode_head, features)[0]


def _count_products(function: Callable[[Any], Any], value: Any) -> tuple[int, Any]:
    with FlopCounterMode(display=False) as counter:
        result = function(value)
    return counter.get_total_flops() // 2, result


def find_score(work_dir: Path) -> Score | None:
    """The latest score (`HEADLINES`) that a run left in its work directory.

    A test counts before a validation during training, whichever is newer. Tests are looked for
    in the folder ``test`` as well, where the commands of the docs put them.
    """
    tests: list[Score] = []
    validations: list[Score] = []
    runs = [*work_dir.glob('*'), *work_dir.glob('test/*')]
    for run in sorted((path for path in runs if path.is_dir()), key=lambda path: path.name):
        for path in sorted(run.glob('*.json')):
            tests += [Score(value, 'test', name) for value, name, _ in _scores(path)]
        for value, name, step in _scores(run / 'vis_data' / 'scalars.json'):
            validations.append(Score(value, 'val' if step is None else f'val at {step}', name))
    found = tests or validations
    return found[-1] if found else None


def _scores(path: Path) -> list[tuple[float, str, int | None]]:
    """The scores in a log: value, name in the table, iteration."""
    if not path.is_file():
        return []
    scores = []
    for line in path.read_text(encoding='utf-8').splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue  # a line that a killed run did not finish
        if not isinstance(record, dict):
            continue
        key = next((key for key in HEADLINES if key in record), '')
        value = record.get(key)
        if isinstance(value, (int, float)) and math.isfinite(value):
            scores.append((value, HEADLINES[key], record.get('step')))
    return scores


def one_line(error: Exception) -> str:
    """Kind and last line of an error, for a row's notes."""
    lines = str(error).strip().splitlines() or ['']
    return f'{type(error).__name__}: {lines[-1]}'
