"""Bad input: an error that names the thing, what was expected and the remedy; no file left behind.

One row a case. `words` are searched for in the message in this order: the thing, what came or was
expected, what to do.
"""

import json
import os
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.registry import HOOKS, MODELS
from reference import tiny
from reference.small_search import record_of

import mmseg_sparsemask  # noqa: F401
from mmseg_sparsemask.connectivity import Connectivity, from_npy, load, preset, prune, save
from mmseg_sparsemask.connectivity.io import resolve
from mmseg_sparsemask.search.finish import finish
from mmseg_sparsemask.search.saved_search import read_search
from mmseg_sparsemask.search.supernet import find_supernet

STRIDES, CHANNELS = [2, 4, 8], [4, 5, 6]
GOOD = {
    'format': 'sparsemask.connectivity',
    'version': 1,
    'strides': STRIDES,
    'stages': {'D1': ['E1', 'G']},
    'meta': {},
}


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def head(kind='FDNHead', **changes):
    config = dict(
        type=kind,
        in_channels=CHANNELS,
        in_index=[0, 1, 2],
        strides=STRIDES,
        channels=4,
        num_classes=3,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    )
    if kind == 'SparseMaskHead':
        config['connectivity'] = 'unet'
    return MODELS.build({**config, **changes})


def features(channels=CHANNELS, strides=STRIDES, size=32, batch=2):
    return [torch.rand(batch, c, size // s, size // s) for c, s in zip(channels, strides)]


def json_file(folder, text=None, **changes):
    path = folder / 'given.json'
    path.write_text(json.dumps({**GOOD, **changes}) if text is None else text)
    return path


def weights_of(supernet, value):
    with torch.no_grad():
        for raw in supernet.connections.raw.values():
            raw.fill_(value)
    return supernet


def run_tool(name, folder, *arguments):
    """A tool's exit message; it runs in this process, from that folder."""
    argv, cwd = sys.argv, os.getcwd()
    sys.argv = [name, *map(str, arguments)]
    os.chdir(folder)
    try:
        runpy.run_path(str(tiny.ROOT / 'tools' / name), run_name='__main__')
    except SystemExit as stop:
        raise ValueError(stop.code) from None
    finally:
        sys.argv = argv
        os.chdir(cwd)


def not_a_search(folder):
    path = folder / 'given.pth'
    torch.save(dict(state_dict={'decode_head.conv_seg.weight': torch.zeros(1)}, meta={}), path)
    return path


def no_checkpoint(folder):
    path = folder / 'given.pth'
    path.write_bytes(b'PK not really')
    return path


def unwritable(folder):
    """Below a file: nobody can write there, not even root."""
    (folder / 'given').write_text('')
    return folder / 'given' / 'w'


def run_search(folder, **options):
    """A search started in this process whose weights are not numbers."""
    poison = options.pop('poison', None)
    cfg = tiny.load(tiny.write_configs(folder, 3), folder / 'w', **options)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.default_hooks.checkpoint.interval = 100
    runner = Runner.from_cfg(cfg)
    if poison is not None:
        weights_of(find_supernet(runner.model), poison)
    runner.train()


def train_with_missing_data(folder):
    text = (
        f'_base_ = {str(tiny.ROOT / "configs/sparsemask/fdn_mbv2_camvid.py")!r}\n'
        "train_dataloader = dict(dataset=dict(data_root='data/given'))\n"
    )
    (folder / 'given.py').write_text(text)
    run_tool('train.py', folder, folder / 'given.py')


CASES = {
    # Numbers of features, channels, strides.
    'fewer channels than strides': (
        lambda folder: head(in_channels=[4, 5]),
        ['in_channels', 'expected 3 entries', r'\[4, 5\]', 'describe_backbone'],
    ),
    'fewer indices than strides': (
        lambda folder: head('SparseMaskHead', in_index=[0, 1]),
        ['in_index', 'expected 3 entries', r'\[0, 1\]', 'describe_backbone'],
    ),
    'one number of channels': (
        lambda folder: head(in_channels=4),
        ['in_channels', 'expected a list of integers', 'got 4'],
    ),
    'backbone gives fewer features': (
        lambda folder: head()(features()[:2]),
        [r'\[4, 5, 6\] channels', 'gives 2 features', 'describe_backbone'],
    ),
    'backbone gives other channels': (
        lambda folder: head('SparseMaskHead')(features([4, 5, 7])),
        [r'expects features of \[4, 5, 6\]', r'gives \[4, 5, 7\]', 'describe_backbone'],
    ),
    'backbone gives other strides': (
        lambda folder: head()(features(strides=[2, 4, 16])),
        [r'strides \[2, 4, 8\]', 'E3 has size 2x2', 'describe_backbone'],
    ),
    'strides do not match a connectivity': (
        lambda folder: head(
            'SparseMaskHead', connectivity=dict(strides=[4, 8, 16], stages=GOOD['stages'])
        ),
        [r'connectivity needs strides \[4, 8, 16\]', r'gives \[2, 4, 8\]', 'transfer'],
    ),
    'strides do not match an architecture': (
        lambda folder: head('SparseMaskHead', connectivity='sparsemask_mbv2_voc'),
        [r'needs strides \[2, 2, 4, 8, 16, 16, 32, 32, 32\]', r'gives \[2, 4, 8\]', 'transfer'],
    ),
    'transfer to nothing': (
        lambda folder: resolve(dict(source='sparsemask_mbv2_voc', strides=[4, 8])),
        ['nothing is left of the decoder', r'on \[4, 8\]', 'Tap backbone features'],
    ),
    'negative stride': (
        lambda folder: head(strides=[2, -4, 8]),
        ['strides', 'expected positive integers', '-4'],
    ),
    'preset without strides': (
        lambda folder: head('SparseMaskHead', strides=None),
        ["preset 'unet' needs strides", 'give the backbone'],
    ),
    'batch of one in training': (
        lambda folder: head()(features(batch=1)),
        ['G over the batch', 'at least 2 images', 'got 1', 'raise batch_size'],
    ),
    'module name': (
        lambda folder: MODELS.build(
            dict(
                type='FeatureTaps',
                backbone=dict(type='mmpretrain.MobileNetV2', widen_factor=0.25),
                features=['layer8'],
            )
        ),
        ['MobileNetV2 has no module', 'layer8', 'there are .*layer7'],
    ),
    'norm without batch statistics': (
        lambda folder: head(norm_cfg=dict(type='GN', num_groups=2)),
        ['norm_cfg', 'expected one of', "'GN'"],
    ),
    # Presets and files.
    'unknown preset': (
        lambda folder: head('SparseMaskHead', connectivity='unett'),
        ["unknown preset 'unett'", 'expected one of fdn, unet', 'or the path of'],
    ),
    'no such file': (
        lambda folder: load(folder / 'none.json'),
        [r'none\.json', 'No such file', 'expected a connectivity.json or the name of a preset'],
    ),
    'broken JSON': (
        lambda folder: load(json_file(folder, '{"format": ')),
        [r'given\.json', 'not a JSON file', 'column 12'],
    ),
    'not text': (
        lambda folder: (
            (folder / 'given.json').write_bytes(b'\xff\xfe\x00'),
            load(folder / 'given.json'),
        ),
        [r'given\.json', 'not a JSON file'],
    ),
    'JSON of something else': (
        lambda folder: load(json_file(folder, '[1, 2]')),
        [r'given\.json', 'expected a JSON object', 'list'],
    ),
    'unknown key': (
        lambda folder: load(json_file(folder, weights=[])),
        [r'given\.json', r"unknown keys \['weights'\]", 'expected .*strides'],
    ),
    'other format': (
        lambda folder: load(json_file(folder, format='coco')),
        [r'given\.json', "expected format 'sparsemask.connectivity'", "'coco'"],
    ),
    'later version': (
        lambda folder: load(json_file(folder, version=2)),
        [r'given\.json', 'expected version 1', 'got 2', 'update mmseg-sparsemask'],
    ),
    'unknown source': (
        lambda folder: load(json_file(folder, stages={'D1': ['E4']})),
        [r'given\.json', r"stages\['D1'\]: 'E4' is not allowed", 'allowed are E1, E2, E3'],
    ),
    'cycle': (
        lambda folder: load(json_file(folder, stages={'D2': ['D1'], 'D1': ['D2']})),
        [r'given\.json', "'D1' is not allowed", 'cycle', 'allowed are'],
    ),
    'dangling stage': (
        lambda folder: load(json_file(folder, stages={'D2': ['E2'], 'D1': ['E1']})),
        [r'given\.json', 'dangling stage D2: no stage takes it', 'drop_unreachable'],
    ),
    'stage without input': (
        lambda folder: Connectivity(STRIDES, {'D2': [], 'D1': ['D2']}),
        ['dangling stage D2', 'no input', 'drop_unreachable'],
    ),
    'last stage without input': (
        lambda folder: Connectivity(STRIDES, {'D2': []}),
        ['D2', 'has no input', 'give it one'],
    ),
    'mask of other size': (
        lambda folder: from_npy(np.zeros((9, 9, 2), bool), STRIDES),
        ['mask', r'expected a boolean array of shape \(3, 3, 2\)', r'\(9, 9, 2\)'],
    ),
    'mask where a file is expected': (
        lambda folder: head('SparseMaskHead', connectivity=str(folder / 'mask.npy')),
        [r'mask\.npy', 'hold no strides', r'import_mask\.py'],
    ),
    'save to nowhere': (
        lambda folder: save(preset('unet', STRIDES), folder / 'none/c.json'),
        [r'none/c\.json', 'cannot be written', 'expected an existing folder'],
    ),
    'save what is no JSON': (
        lambda folder: save(
            Connectivity(STRIDES, GOOD['stages'], {'loss': float('nan')}), folder / 'c.json'
        ),
        ['meta', 'expected plain JSON values'],
    ),
    # Pruning.
    'threshold of 0': (
        lambda folder: record_of(head(), threshold=0.0),
        ['threshold', r'expected a number in \(0, 1\)', 'got 0'],
    ),
    'threshold of 1': (
        lambda folder: prune(head().connection_weights(), STRIDES, 1.0),
        ['threshold', r'expected a number in \(0, 1\)', 'got 1'],
    ),
    'threshold in a config': (
        lambda folder: HOOKS.build(dict(type='PruneHook', threshold=1.5)),
        ['threshold', r'expected a number in \(0, 1\)', 'got 1.5'],
    ),
    'weights that are not numbers': (
        lambda folder: record_of(weights_of(head(), float('nan'))),
        ['expected finite numbers', 'nan', r'in raw\.D1', 'lower learning rate'],
    ),
    'weights that are not numbers, in a search': (
        lambda folder: run_search(folder, poison=float('nan')),
        ['expected finite numbers', 'nan', r'in raw\.D1', 'lower learning rate'],
    ),
    'everything pruned': (
        lambda folder: record_of(weights_of(head(), 0.0)).prune(),
        ['everything is pruned', 'threshold 0.001', 'lower the threshold, or search again'],
    ),
    # Checkpoints, folders, data.
    'checkpoint without a supernet': (
        lambda folder: read_search(not_a_search(folder)),
        [r'given\.pth', 'holds no supernet', 'expected a checkpoint of a search'],
    ),
    'no checkpoint': (
        lambda folder: read_search(no_checkpoint(folder)),
        [r'given\.pth', 'expected tensors and plain data', 'or a damaged file'],
    ),
    'prune.py on a checkpoint without a supernet': (
        lambda folder: run_tool('prune.py', folder, not_a_search(folder)),
        [r'error: .*given\.pth', 'holds no supernet', 'expected a checkpoint of a search'],
    ),
    'model without a supernet': (
        lambda folder: find_supernet(head('SparseMaskHead')),
        ['nothing to prune', "expected a model whose decode_head is of type 'FDNHead'", 'Sparse'],
    ),
    'retrain config that does not exist': (
        lambda folder: run_search(folder, **{'custom_hooks.0.retrain_config': 'none.py'}),
        ['retrain_config', 'none.py does not exist', r'name a config file.*fileDirname'],
    ),
    'unwritable work_dir': (
        lambda folder: run_tool(
            'train.py', folder, tiny.write_configs(folder), '--work-dir', unwritable(folder)
        ),
        ['error: cannot write to the folder', 'given/w', 'choose another .*--work-dir'],
    ),
    'unwritable out-dir': (
        lambda folder: finish(record_of(head()), preset('unet', STRIDES), unwritable(folder)),
        [r'given/w/pruned\.pth', 'cannot be written', 'expected an existing folder'],
    ),
    'missing data root': (
        train_with_missing_data,
        ['error: train_dataloader.dataset.data_root', 'data/given', r'docs/data\.md'],
    ),
    # Arguments of the parts.
    'weight range': (
        lambda folder: head(connections=dict(max_weight=-1.0)),
        ['max_weight', 'expected a positive number', 'got -1'],
    ),
    'loss weight': (
        lambda folder: head(
            loss_connectivity=dict(type='SparseConnectivityLoss', loss_weight=-1.0)
        ),
        ['loss_weight', 'at least 0', 'got -1'],
    ),
}
#: Files that a case itself makes.
GIVEN = {'given.json', 'given.pth', 'given', 'given.py', 'search.py', 'sparse.py'}


def left_behind(folder):
    """Files in a folder, without what the toolbox logs about any run."""
    logs = re.compile(r'w/(search\.py$|\d{8}_\d{6}/|.*\.log$)')
    names = {str(path.relative_to(folder)) for path in folder.rglob('*') if path.is_file()}
    return {name for name in names - GIVEN if not logs.match(name)}


@pytest.mark.parametrize('case', CASES)
def test_bad_input(case, tmp_path):
    call, words = CASES[case]
    with pytest.raises(ValueError) as caught:
        call(tmp_path)
    message = str(caught.value)
    assert re.search('.*'.join(f'(?:{word})' for word in words), message, re.DOTALL), message
    assert type(caught.value) is ValueError
    assert left_behind(tmp_path) == set()


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    """What is there stays whole when the next write fails half way, at any of the files."""
    supernet = head()
    finish(record_of(supernet), preset('unet', STRIDES), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(*arguments):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(Path, 'replace', fail)
    with pytest.raises(OSError, match='No space left'):
        finish(record_of(weights_of(supernet, 0.4)), preset('fdn', STRIDES), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
