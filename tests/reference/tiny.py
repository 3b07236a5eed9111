"""A search and a retraining small enough for tests: no files, no download, seconds."""

import itertools
import os
import socket
import subprocess
import sys
from pathlib import Path

from mmengine.config import Config

ROOT = Path(__file__).parents[2]

_COMMON = """
_base_ = [
    '{root}/configs/_base_/default_runtime.py',
    '{root}/configs/_base_/models/segmentor.py',
    '{root}/configs/_base_/datasets/shapes.py',
    '{root}/configs/_base_/schedules/sgd_600_scratch.py',
]
pipeline = [  # draws nothing at random
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=4,
    sampler=dict(seed=0),
    dataset=dict(size=(32, 32), length=24, pipeline=pipeline),
)
val_dataloader = dict(batch_size=4, dataset=dict(size=(32, 32), length=4))
test_dataloader = val_dataloader
randomness = dict(seed=0)
train_cfg = dict(max_iters={iterations}, val_interval=5)
param_scheduler = [dict(type='PolyLR', eta_min=1e-4, power=0.9, begin=0, end=20, by_epoch=False)]
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=4, max_keep_ckpts=-1))
model = dict(
    data_preprocessor=dict(size=(32, 32)),
    backbone=dict(
        type='FeatureTaps',
        backbone=dict(type='ResNet', depth=18, stem_channels=8, base_channels=8),
        features=['relu', 'layer1', 'layer2', 'layer3', 'layer4'],
    ),
    decode_head=dict(
        in_channels=[8, 8, 16, 32, 64],
        in_index=[0, 1, 2, 3, 4],
        strides=[2, 4, 8, 16, 32],
        channels=8,
        num_classes=8,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
        {head}
    ),
)
"""
_SEARCH = """type='FDNHead',
        connections=dict(type='RelaxedConnections'),
        loss_connectivity=dict(type='SparseConnectivityLoss', loss_weight=20.0),"""
_HOOK = """
custom_hooks = [
    dict(
        type='PruneHook',
        interval=3,
        image_interval=6,
        retrain_config='{{ fileDirname }}/sparse.py',
    )
]
"""
_RETRAIN = "type='SparseMaskHead',\n        connectivity='unet',"

_names = itertools.count()


def write_configs(folder, iterations=6, more=''):
    """Write ``search.py`` and ``sparse.py`` (what a retraining inherits); return the first.

    Args:
        folder: Where to.
        iterations: Of the search; 3 of the retraining.
        more: Lines at the end of the search's config.
    """
    search = _COMMON.format(root=ROOT, iterations=iterations, head=_SEARCH) + _HOOK + more
    sparse = _COMMON.format(root=ROOT, iterations=3, head=_RETRAIN)
    (folder / 'search.py').write_text(search)
    (folder / 'sparse.py').write_text(sparse)
    return folder / 'search.py'


def write_pure_search(folder):
    """Write a search in pure Python, which names its head by the class; return the config."""
    config = folder / 'search.py'
    config.write_text(
        'from mmengine.config import read_base\n'
        'with read_base():\n'
        '    from mmseg_sparsemask.configs.fdn_mobilenetv2 import *\n'
        'from mmseg_sparsemask.models.decode_heads import FDNHead\n'
        'model.update(decode_head=dict(model["decode_head"], type=FDNHead, num_classes=2))\n'
    )
    return config


def load(path, work_dir, **options):
    """A config ready for a Runner in this process.

    The toolbox keeps loggers, hubs and visualisers by name for the life of a process, so every run
    gets names of its own.
    """
    cfg = Config.fromfile(path)
    cfg.merge_from_dict(options)
    cfg.work_dir = str(work_dir)
    name = f'tiny{next(_names)}_{os.getpid()}'
    cfg.experiment_name = name
    cfg.visualizer.name = name
    return cfg


def free_port():
    """A port nobody listens on."""
    with socket.socket() as bound:
        bound.bind(('127.0.0.1', 0))
        return bound.getsockname()[1]


def environment(**more):
    """Environment of a subprocess: this source tree, one thread, no GPU."""
    path = os.pathsep.join([str(ROOT), *filter(None, [more.pop('PYTHONPATH', '')])])
    return dict(
        os.environ,
        PYTHONPATH=path,
        PYTHON=sys.executable,
        PORT=str(free_port()),
        OMP_NUM_THREADS='1',
        CUDA_VISIBLE_DEVICES='',
        **more,
    )


def call(*command, cwd, check=True, **env):
    """Run a command as a user would; the finished process, with its output as text."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment(**env),
        capture_output=True,
        text=True,
    )
    if check and done.returncode:
        raise AssertionError(f'{command} ended with {done.returncode}\n{done.stdout}{done.stderr}')
    return done
