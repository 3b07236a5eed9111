"""Every config under ``configs/`` loads and builds its model, and none is forgotten."""

import ast
import inspect
from collections import Counter
from pathlib import Path

import pytest
import torch
from mmseg.registry import DATASETS, HOOKS, METRICS, MODELS, TRANSFORMS
from reference.configs import (
    BASES,
    CONFIGS,
    ROOT,
    is_pretrained,
    load,
    load_as_it_is,
    name_of,
    names,
    one_of_each_model,
)

from mmseg_sparsemask.fit.encoders import NAMED


def parts(folder):
    """(method, backbone, data) of every config of a folder, from its name."""
    return {tuple(path.stem.split('_', 2)) for path in CONFIGS if path.parent.name == folder}


def test_every_search_has_what_trains_its_result():
    found = parts('sparsemask')
    searches = {(backbone, data) for method, backbone, data in found if method == 'fdn'}
    trainings = {(backbone, data) for method, backbone, data in found if method == 'sparsemask'}
    assert searches and searches <= trainings


def test_the_methods_of_table_1_are_complete():
    """A new baseline of Table 1 is a preset, a config for each data set, and a name here."""
    methods = ['fcn', 'deeplabv3', 'unet', 'sparseacn', 'full', 'l1', 'maskconnect', 'fdn']
    found = parts('sparsemask')
    for backbone, data in [
        *(('mbv2', name) for name in ('voc', 'camvid-96x128', 'shapes')),
        ('efficientnet-lite0', 'camvid-160x208'),
    ]:
        missing = [method for method in methods if (method, backbone, data) not in found]
        assert not missing, f'{backbone}, {data}: no config of {missing}'
    baselines = {'segformer', 'upernet', 'lraspp', 'deeplabv3-d16'}
    known = {*methods, *baselines, 'sparsemask', 'fdn-budget', 'fdn-sampled', 'random'}
    assert {method for method, *_ in found} == known, 'name the new method here'


def test_every_cell_has_its_baseline_and_its_search():
    cells = {pair[1:] for pair in parts('dpc') if pair[0] == 'dpc'}
    assert cells == {pair[1:] for pair in parts('dpc') if pair[0] == 'aspp'}
    searches = {pair[1:] for pair in parts('dpc') if pair[0] == 'search'}
    assert searches == {pair for pair in cells if pair[0] == 'mbv2'}


@pytest.mark.parametrize('folder', ['edge', 'saliency'])
def test_every_data_set_of_a_task_has_the_found_decoder_and_a_baseline(folder):
    by_data = {}
    for method, backbone, data in parts(folder):
        by_data.setdefault((backbone, data), set()).add(method)
    assert by_data and all(
        'sparsemask' in methods and len(methods) > 1 for methods in by_data.values()
    )


def test_names_are_unique():
    """Work directories are named after configs."""
    twice = [name for name, n in Counter(path.stem for path in CONFIGS).items() if n > 1]
    assert not twice


def test_one_base_loads_the_plugin_and_nothing_else_does():
    importing = [
        name_of(path)
        for path in [*CONFIGS, *BASES]
        if any(
            isinstance(node, ast.Assign)
            and any(isinstance(t, ast.Name) and t.id == 'custom_imports' for t in node.targets)
            for node in ast.walk(ast.parse(path.read_text()))
        )
    ]
    assert importing == ['_base_/default_runtime']


def bases_of(path):
    """All files that a config inherits."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', '') == '_base_':
            value = ast.literal_eval(node.value)
            for name in [value] if isinstance(value, str) else value:
                base = (path.parent / name).resolve()
                assert base.is_file(), f'{name_of(path)} inherits {base}, which does not exist'
                found |= {base, *bases_of(base)}
    return found


def test_no_base_is_left_over():
    """Every file in ``_base_`` is inherited by some config or by fit's, or the docs show how."""
    used = set().union(*map(bases_of, [*CONFIGS, *NAMED.values()]))
    used |= {path.resolve() for path in NAMED.values()}
    docs = ''.join(path.read_text() for path in sorted((ROOT.parent / 'docs').glob('*.md')))
    unused = {f'{name_of(path)}.py' for path in BASES if path.resolve() not in used}
    assert not [name for name in unused if name not in docs]


@pytest.mark.parametrize('name', one_of_each_model(names('sparsemask')))
def test_builds(name):
    """Those of the other folders are built, and run, by the tests of their tasks."""
    model = build(load(name).model)
    assert sum(p.numel() for p in model.parameters()) > 10_000


@pytest.mark.parametrize('name', map(name_of, CONFIGS))
def test_names_what_is_registered(name):
    """No data set is opened."""
    cfg = load_as_it_is(name)
    assert cfg.custom_imports == dict(imports=['mmseg_sparsemask'])
    assert cfg.default_scope == 'mmseg'
    assert cfg.train_dataloader and cfg.test_dataloader
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        for dataset in datasets((cfg.get(loader) or dict(dataset={}))['dataset']):
            assert DATASETS.get(dataset['type']) is not None, dataset['type']
            for transform in dataset.get('pipeline') or []:
                assert TRANSFORMS.get(transform['type']) is not None, transform['type']
    # MMEngine starts no training with one of these alone.
    validation = [cfg.get(f'val_{part}') for part in ('cfg', 'dataloader', 'evaluator')]
    assert all(validation) or not any(validation), 'validation is set up in part'
    for hook in cfg.get('custom_hooks', []):
        built = HOOKS.build(hook)
        retrain = getattr(built, 'retrain_config', None)
        if retrain is not None:
            assert Path(retrain).resolve() in CONFIGS, f'{retrain} is none of the configs'
    evaluators = cfg.test_evaluator
    for evaluator in evaluators if isinstance(evaluators, (list, tuple)) else [evaluators]:
        assert METRICS.get(evaluator['type']) is not None
    loop = cfg.train_cfg
    length = loop.get('max_iters') or loop.get('max_epochs')
    ends = [s['end'] for s in cfg.param_scheduler if 'end' in s]
    assert length and (not ends or max(ends) == length), 'the schedule ends elsewhere than training'


def build(model):
    try:
        with torch.device('meta'):
            return MODELS.build(model)
    except RuntimeError as error:  # transformers compute their drop path rates with tensors
        assert 'meta tensors' in str(error)
        return MODELS.build(model)


def datasets(node):
    """A data set and those inside it."""
    if node:
        yield node
    for inner in [node.get('dataset'), *(node.get('datasets') or [])]:
        if isinstance(inner, dict):
            yield from datasets(inner)


def test_from_scratch_means_the_backbones_own_initialisation():
    """Without ImageNet weights, MobileNet-V2 starts as its class does when nothing is said.

    An ``init_cfg`` of None would leave out what classes have there by default.
    """
    kinds = Counter()
    for path in CONFIGS:
        backbone = load_as_it_is(name_of(path)).model.backbone
        backbone = backbone.get('backbone', backbone)
        if not backbone.type.endswith('MobileNetV2'):
            continue
        scratch = any(base.stem.endswith('_scratch') for base in bases_of(path))
        kinds[scratch] += 1
        if scratch:
            default = inspect.signature(MODELS.get(backbone.type)).parameters['init_cfg'].default
            assert backbone.get('init_cfg', default) == default, name_of(path)
        else:
            assert is_pretrained(backbone.init_cfg), name_of(path)
    assert kinds[True] and kinds[False]
