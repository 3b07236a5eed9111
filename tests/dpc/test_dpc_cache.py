import dataclasses
import errno
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS

from mmseg_sparsemask.datasets.reading import save_image
from mmseg_sparsemask.datasets.scene import CLASSES
from mmseg_sparsemask.datasets.shapes import write_shapes
from mmseg_sparsemask.dpc import cache as cache_module
from mmseg_sparsemask.dpc.cache import FeatureExtractor, build_cache
from mmseg_sparsemask.dpc.cached import CachedFeatureDataset
from mmseg_sparsemask.dpc.proxy import prepare_task
from mmseg_sparsemask.utils.repeatable import seeded

ROOT = Path(__file__).parents[2]


def extractor(config, seed=0, part='train', model_seed=0, **changes):
    init_default_scope('mmseg')
    with seeded(model_seed):
        model = MODELS.build(config.model)
    arguments = dict(
        in_index=1,
        images=10,
        passes=2,
        seed=seed,
        label_stride=2,
        dtype='float16',
        backbone=config.model.backbone.to_dict(),
        preprocessor=config.model.data_preprocessor.to_dict(),
    )
    arguments.update(changes)
    return FeatureExtractor(model, config[f'{part}_dataloader'].dataset.to_dict(), **arguments)


def contents(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def test_cache_is_what_the_backbone_says(tiny, tmp_path):
    source = extractor(tiny, part='val', passes=1, images=None, label_stride=1, dtype='float32')
    folder = build_cache(source, tmp_path / 'cache', 'val')
    data = CachedFeatureDataset(folder, source.key)
    assert len(data) == 8 and folder.name == source.key
    for index in (0, 7):
        with seeded(0, index):
            item = source.dataset[index]
        with torch.no_grad():
            image = (item['inputs'][[2, 1, 0]].float() - 100) / 60
            want = source.model.backbone(image[None])[1][0]
        torch.testing.assert_close(data[index]['inputs'], want)
        label = data[index]['data_samples'].gt_sem_seg.data
        assert torch.equal(label, item['data_samples'].gt_sem_seg.data)
        assert data[index]['data_samples'].ori_shape == (32, 32)
    assert data.metainfo['classes'][0] == 'background'


def test_a_finished_cache(tiny, tmp_path):
    """Labels are reduced, features halved; it is taken as it is, and not for another's."""
    source = extractor(tiny)
    folder = build_cache(source, tmp_path, 'train')
    data = CachedFeatureDataset(folder)
    assert np.load(folder / 'features.npy', mmap_mode='r').dtype == np.float16
    item = data[3]
    assert item['inputs'].dtype == torch.float32 and item['inputs'].shape == (8, 4, 4)
    labels = [data[i]['data_samples'].gt_sem_seg.data for i in range(len(data))]
    assert len(labels) == 20 and labels[3].shape == (1, 16, 16)
    same = [torch.equal(labels[i], labels[i + 10]) for i in range(10)]
    assert any(same) and not all(same)  # the passes: flipped or not
    meta = json.loads((folder / 'meta.json').read_text())
    assert meta['fingerprint']['backbone']['type'] == 'MobileNetV2'
    assert meta['fingerprint']['dataset']['type'] == 'ShapesDataset'
    assert meta['length'] == 20 and meta['channels'] == 8 and meta['bytes'] == 20 * (256 + 256)
    source.batch = None
    assert build_cache(source, tmp_path, 'train') == folder
    other = extractor(tiny, model_seed=1)
    with pytest.raises(ValueError, match='another backbone, checkpoint or pipeline'):
        DATASETS.build(dict(type='mmseg.CachedFeatureDataset', path=str(folder), key=other.key))


@pytest.mark.parametrize('stop', [1, 7, 16])
def test_an_interrupted_build_goes_on(tiny, tmp_path, monkeypatch, stop):
    monkeypatch.setattr(cache_module, 'CHUNK', 3)
    whole = build_cache(extractor(tiny), tmp_path / 'a', 'train')
    source = extractor(tiny)
    batch, calls = source.batch, []

    def failing(start, end):
        calls.append(start)
        if start >= stop:
            raise KeyboardInterrupt
        return batch(start, end)

    source.batch = failing
    with pytest.raises(KeyboardInterrupt):
        build_cache(source, tmp_path / 'b', 'train')
    folder = tmp_path / 'b' / source.key
    with pytest.raises(ValueError, match='no finished feature cache'):
        CachedFeatureDataset(folder)
    again = extractor(tiny)
    batch2, starts = again.batch, []
    again.batch = lambda start, end: starts.append(start) or batch2(start, end)
    assert build_cache(again, tmp_path / 'b', 'train') == folder
    assert starts[0] == 0 and starts[1] == calls[-1]  # the first sets the sizes, then it goes on
    assert contents(folder) == contents(whole)


def test_key_tells_apart_what_matters(tiny, tmp_path):
    def key(**changes):
        return extractor(tiny, **changes).key

    keys = [
        key(),
        key(seed=1),
        key(model_seed=1),
        key(images=9),
        key(passes=1),
        key(label_stride=4),
        key(in_index=0),
        key(dtype='float32'),
        key(part='val'),
    ]
    assert len(set(keys)) == len(keys)
    assert key() == keys[0]
    tiny.model.data_preprocessor.std = [50.0] * 3
    assert key() not in keys


def test_key_has_the_neck(tiny):
    """Its weights, and settings that have none."""
    tiny.model.neck = dict(type='FPN', in_channels=[4, 8], out_channels=8, num_outs=2)
    source = extractor(tiny)
    tiny.model.neck.upsample_cfg = dict(mode='bilinear')
    other = extractor(tiny, neck=tiny.model.neck.to_dict())
    with torch.no_grad():
        next(source.model.neck.parameters()).add_(1.0)
    changed = dataclasses.replace(source)
    assert len({source.key, other.key, changed.key}) == 3


def test_key_has_the_files(tiny, tmp_path):
    """A data set that was converted anew lies where it lay, under the same names."""
    _, masks = write_shapes(tmp_path, {'train': 4}, (32, 32))
    dataset = tiny.train_dataloader.dataset
    for name in ('length', 'size', 'split'):
        dataset.pop(name)
    prefix = dict(img_path='images/train', seg_map_path='masks/train')
    dataset.update(type='BaseSegDataset', data_root=str(tmp_path), data_prefix=prefix)
    dataset.update(img_suffix='.png', metainfo=dict(classes=CLASSES))
    first = extractor(tiny).key
    assert extractor(tiny).key == first
    save_image(np.full((32, 32), 255, np.uint8), masks / 'train/0002.png')
    assert extractor(tiny).key != first
    # A wrapper says what it holds.
    tiny.train_dataloader.dataset = dict(type='ConcatDataset', datasets=[dataset, dataset])
    second = extractor(tiny).key
    save_image(np.zeros((32, 32), np.uint8), masks / 'train/0001.png')
    assert extractor(tiny).key != second


@pytest.mark.slow
def test_two_processes_build_one_cache(tiny, tmp_path):
    code = (
        'import sys\n'
        'from mmengine.config import Config\n'
        'from mmseg_sparsemask.dpc.proxy import prepare_task\n'
        'cfg = Config.fromfile(sys.argv[1])\n'
        'cfg.dpc_search.proxy.cache_dir = sys.argv[2]\n'
        'print(prepare_task(cfg).keys)\n'
    )
    command = [sys.executable, '-c', code, tiny.filename]
    both = [
        subprocess.Popen([*command, tmp_path / 'b'], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate()[0].splitlines()[-1] for process in both]
    assert all(process.returncode == 0 for process in both)
    assert outputs[0] == outputs[1]
    tiny.dpc_search.proxy.cache_dir = str(tmp_path / 'a')
    task = prepare_task(tiny)
    assert outputs[0] == str(task.keys)
    for folder in (Path(task.train), Path(task.val)):
        assert contents(tmp_path / 'b' / folder.name) == contents(folder)


def test_a_small_disk(tiny, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(cache_module, 'print_log', lambda text, logger: said.append(text))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage._replace(free=1000))
    source = extractor(tiny)
    with pytest.raises(ValueError, match=r'the train cache needs 10\.2kB, 1\.00kB are free'):
        build_cache(source, tmp_path, 'train')
    assert not (tmp_path / source.key).exists()
    # 20 items of 8x4x4 halves and 16x16 bytes.
    assert len(said) == 1 and '10.2kB' in said[0]


@pytest.mark.parametrize('cut', [1, 256 * 8, 10**6])
def test_a_file_that_was_cut_is_not_taken_for_done(tiny, tmp_path, monkeypatch, cut):
    """The interrupted build had noted 15 items; the file system kept fewer bytes of them."""
    monkeypatch.setattr(cache_module, 'CHUNK', 5)
    whole = contents(build_cache(extractor(tiny), tmp_path / 'a', 'train'))
    source = extractor(tiny)
    batch = source.batch
    source.batch = lambda start, end: batch(start, end) if start < 15 else 1 / 0
    with pytest.raises(ZeroDivisionError):
        build_cache(source, tmp_path / 'b', 'train')
    folder = tmp_path / 'b' / source.key
    partial = folder / 'features.npy.partial'
    os.truncate(partial, max(0, partial.stat().st_size - cut))
    assert contents(build_cache(extractor(tiny), tmp_path / 'b', 'train')) == whole


def test_a_disk_that_fills_up(tiny, tmp_path, monkeypatch):
    """One error that names the file; with room again, the same call ends with a whole cache."""
    monkeypatch.setattr(cache_module, 'CHUNK', 5)
    whole = contents(build_cache(extractor(tiny), tmp_path / 'a', 'train'))
    allocate = getattr(os, 'posix_fallocate', None)

    def full(*_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(cache_module.os, 'posix_fallocate', full, raising=False)
    with pytest.raises(ValueError, match=r'\.npy\.partial: cannot be written \(No space left'):
        build_cache(extractor(tiny), tmp_path / 'b', 'train')
    folder = tmp_path / 'b' / extractor(tiny).key
    assert not list(folder.iterdir())
    with pytest.raises(ValueError, match='no finished feature cache'):
        CachedFeatureDataset(folder)
    monkeypatch.setattr(cache_module.os, 'posix_fallocate', allocate or (lambda *_: None))
    assert contents(build_cache(extractor(tiny), tmp_path / 'b', 'train')) == whole


def test_images_of_several_sizes(tiny, tmp_path):
    tiny.model.data_preprocessor.size = None
    tiny.model.data_preprocessor.size_divisor = 8
    dataset = tiny.train_dataloader.dataset
    dataset.pipeline.insert(2, dict(type='RandomResize', scale=(64, 64), ratio_range=(0.5, 2)))
    with pytest.raises(ValueError, match='a cache needs features and labels of one size'):
        build_cache(extractor(tiny), tmp_path, 'train')


def test_labels_at_their_own_size(tiny, tmp_path):
    """As test pipelines have it: the image is resized, the labels are not."""
    tiny.val_dataloader.dataset.pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(16, 16)),
        dict(type='LoadAnnotations'),
        dict(type='PackSegInputs'),
    ]
    tiny.model.data_preprocessor.size = (16, 16)
    source = extractor(tiny, part='val', images=2, passes=1, label_stride=1)
    data = CachedFeatureDataset(build_cache(source, tmp_path, 'val'))
    with seeded(0, 0):
        full = source.dataset[0]['data_samples'].gt_sem_seg.data
    assert full.shape == (1, 32, 32)
    assert torch.equal(data[0]['data_samples'].gt_sem_seg.data, full[:, 1::2, 1::2])


@pytest.mark.parametrize(
    'features, message',
    [
        ((None, torch.full((1, 8, 4, 4), 1e6)), "'float32'"),
        (torch.zeros(1, 8, 4, 4), 'one tensor instead of a tuple'),
    ],
)
def test_features_that_cannot_be_kept(tiny, tmp_path, features, message):
    source = extractor(tiny)
    source.model.extract_feat = lambda x: features
    with pytest.raises(ValueError, match=message):
        build_cache(source, tmp_path, 'train')


@pytest.mark.parametrize('change', [dict(images=0), dict(passes=0), dict(dtype='int8')])
def test_bad_arguments(tiny, change):
    with pytest.raises(ValueError, match=f'{next(iter(change))} must be'):
        extractor(tiny, **change)


def test_seeded_leaves_the_outer_state():
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    with seeded(1, 2):
        first = random.random(), np.random.rand(), torch.rand(1).item()
    with pytest.raises(KeyError), seeded(3):
        raise KeyError
    with seeded(1, 2):
        assert first == (random.random(), np.random.rand(), torch.rand(1).item())
    assert random.getstate() == states[0]
    assert np.random.get_state()[1].tolist() == states[1]
    assert torch.equal(torch.get_rng_state(), states[2])
