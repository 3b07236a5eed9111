import subprocess
import sys
import time
import zlib

import cv2
import numpy as np
import pytest
from mmengine.fileio import get
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

from mmseg_sparsemask.datasets.scene import CELL, CLASSES, PALETTE, draw_scene
from mmseg_sparsemask.datasets.shapes import (
    ShapesDataset,
    shapes_address,
    shapes_scene,
    write_shapes,
)

PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def dataset(**kwargs):
    return DATASETS.build(dict(type='ShapesDataset', **{'length': 4, **kwargs}))


def scenes(count, size=(64, 64)):
    return [draw_scene(np.random.default_rng([7, n]), size) for n in range(count)]


@pytest.mark.parametrize('size', [(64, 64), (32, 32), (65, 97), (200, 120)])
def test_scene_has_the_promised_arrays(size):
    scene = draw_scene(np.random.default_rng(3), size)
    assert scene.image.shape == (*size, 3) and scene.image.dtype == np.uint8
    assert scene.labels.shape == size and scene.labels.dtype == np.uint8
    assert scene.instances.shape == size and scene.instances.dtype == np.uint8
    assert ((scene.instances == 0) == (scene.labels == 0)).all()
    for number in np.unique(scene.instances):
        assert len(np.unique(scene.labels[scene.instances == number])) == 1


def test_every_class_occurs_and_background_is_not_nearly_all():
    counts = sum(np.bincount(s.labels.ravel(), minlength=len(CLASSES)) for s in scenes(200))
    share = counts / counts.sum()
    assert share.min() > 0.05
    assert 0.4 < share[0] < 0.75


def test_the_tint_of_the_ground_alone_decides_warm_or_cold():
    warm, cold = (CLASSES.index(name) for name in ('warm', 'cold'))
    colours = {'warm': [], 'cold': []}
    for scene in scenes(300):
        labels = set(np.unique(scene.labels))
        assert (warm if scene.context == 'cold' else cold) not in labels
        blue, _, red = scene.image[scene.labels == 0].mean(0)
        assert (red > blue) == (scene.context == 'warm')
        # One colour per shape: pixels of a shape are not independent.
        for number in np.unique(scene.instances[scene.labels > 0]):
            colours[scene.context].append(scene.image[scene.instances == number].mean(0))
    assert min(len(v) for v in colours.values()) > 300
    # The shapes' own colours tell nothing: their means agree within a few standard errors.
    difference = np.mean(colours['warm'], 0) - np.mean(colours['cold'], 0)
    error = np.sqrt(sum(np.var(v, 0) / len(v) for v in colours.values()))
    assert (np.abs(difference) < 3.5 * error).all()


def test_textures_share_mean_and_deviation_and_differ_in_direction():
    spread, across, down = {}, {}, {}
    for name in ('horizontal', 'vertical', 'checker'):
        label = CLASSES.index(name)
        deviations, horizontal, vertical = [], [], []
        for scene in scenes(150):
            for number in np.unique(scene.instances[scene.labels == label]):
                where = scene.instances == number
                if where.sum() < 150:
                    continue
                grey = scene.image.astype(float).mean(-1)
                grey = np.where(where, grey - grey[where].mean(), np.nan)
                deviations.append(np.nanstd(grey))
                horizontal.append(np.nanmean(grey[:, CELL:] * grey[:, :-CELL]) / np.nanvar(grey))
                vertical.append(np.nanmean(grey[CELL:] * grey[:-CELL]) / np.nanvar(grey))
        spread[name] = np.mean(deviations)
        across[name], down[name] = np.mean(horizontal), np.mean(vertical)
    assert max(spread.values()) < 1.15 * min(spread.values())
    # One cell further along a row: equal for rows, opposite for columns and checkerboard.
    assert across['horizontal'] > 0.7 and down['horizontal'] < -0.7
    assert across['vertical'] < -0.7 and down['vertical'] > 0.7
    assert across['checker'] < -0.7 and down['checker'] < -0.7


def test_the_drawing_is_fixed():
    """Golden values: the data set is part of every published shapes figure, so it must never
    drift."""
    scene = shapes_scene((64, 64), 0, 'train', 0)
    checks = [zlib.crc32(array.tobytes()) for array in scene[:3]]
    assert checks == GOLDEN


GOLDEN = [2342161456, 791580499, 2476003300]


def test_other_process_draws_the_same_bytes():
    code = (
        'import zlib; from mmseg_sparsemask.datasets.shapes import shapes_scene; '
        "print(zlib.crc32(shapes_scene((48, 64), 5, 'val', 9).image.tobytes()))"
    )
    out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    here = zlib.crc32(shapes_scene((48, 64), 5, 'val', 9).image.tobytes())
    assert int(out.stdout.split()[-1]) == here


def test_drawing_is_fast():
    scenes(5)
    start = time.process_time()
    scenes(50)
    assert (time.process_time() - start) / 50 < 0.01


@pytest.mark.parametrize('change', [dict(seed=1), dict(split='val'), dict(index=1)])
def test_seed_split_and_index_all_matter(change):
    base = dict(size=(64, 64), seed=0, split='train', index=0)
    first, other = shapes_scene(**base), shapes_scene(**{**base, **change})
    assert (first.image != other.image).any()


def test_the_toolbox_pipeline_gives_the_drawn_scene():
    data = dataset(pipeline=PIPELINE, seed=2, split='val', size=(40, 56))
    item = data[3]
    scene = shapes_scene((40, 56), 2, 'val', 3)
    assert (item['inputs'].numpy() == scene.image.transpose(2, 0, 1)).all()
    sample = item['data_samples']
    assert (sample.gt_sem_seg.data[0].numpy() == scene.labels).all()
    assert sample.ori_shape == sample.img_shape == (40, 56)
    assert sample.img_path == shapes_address((40, 56), 2, 'val', 3)
    assert len(data) == 4
    assert data.metainfo['classes'] == CLASSES
    assert len(data.metainfo['palette']) == len(PALETTE) == len(CLASSES)


def test_a_subset_of_classes_and_of_images():
    data = dataset(
        pipeline=PIPELINE, metainfo=dict(classes=('background', 'checker')), indices=6, length=9
    )
    assert len(data) == 6
    labels = np.stack([item['data_samples'].gt_sem_seg.data.numpy() for item in data])
    assert set(np.unique(labels)) == {0, 1, 255}


def test_instances_have_an_address():
    import cv2

    raw = np.frombuffer(get(shapes_address((64, 64), 0, 'train', 1, 'instances')), np.uint8)
    image = cv2.imdecode(raw, cv2.IMREAD_UNCHANGED)
    assert (image == shapes_scene((64, 64), 0, 'train', 1).instances).all()


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(length=0), 'length must be a whole number, at least 1'),
        (dict(seed=-1), 'seed must be a whole number, at least 0'),
        (dict(split='dev'), "split must be one of .* got 'dev'"),
    ],
)
def test_bad_arguments(change, message):
    with pytest.raises(ValueError, match=message):
        ShapesDataset(**{'length': 2, **change})


def test_bad_size_and_address():
    with pytest.raises(ValueError, match='at least 32 pixels, got 31x64'):
        draw_scene(np.random.default_rng(0), (31, 64))
    with pytest.raises(FileNotFoundError, match='is no scene; expected an address such as'):
        get('shapes://64x64/0/train/depth/000001.png')


def test_scenes_as_files(tmp_path):
    images, masks = write_shapes(tmp_path, {'train': 3, 'val': 2}, (32, 48), seed=5)
    assert (images, masks) == (tmp_path / 'images', tmp_path / 'masks')
    names = {'train/0000.png', 'train/0001.png', 'train/0002.png', 'val/0000.png', 'val/0001.png'}
    for folder, part in ((images, 'image'), (masks, 'labels')):
        assert {str(p.relative_to(folder)) for p in folder.rglob('*.png')} == names
        for name in names:
            split, index = name[:-4].split('/')
            drawn = getattr(shapes_scene((32, 48), 5, split, int(index)), part)
            np.testing.assert_array_equal(cv2.imread(str(folder / name), -1), drawn)
    # What was stopped goes on, and what a user has changed stays.
    (images / 'val/0001.png').unlink()
    (masks / 'val/0000.png').write_bytes(b'mine')
    write_shapes(tmp_path, {'val': 2}, (32, 48), seed=5)
    assert (images / 'val/0001.png').is_file()
    assert (masks / 'val/0000.png').read_bytes() == b'mine'
