import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from PIL import Image
from scipy.io import savemat

import mmseg_sparsemask.datasets  # noqa: F401
from mmseg_sparsemask.datasets.pascal_person_part import (
    CLASSES,
    PARTS,
    convert_pascal_part,
    person_labels,
)

ROOT = Path(__file__).parents[2]


def masked(*rows):
    mask = np.zeros((4, 6), np.uint8)
    mask[list(rows)] = 1
    return mask


def annotation(path, objects):
    """Write what PASCAL-Part has: anno.objects(i).class, .parts(j).part_name, .parts(j).mask."""
    items = np.zeros(len(objects), dtype=[('class', object), ('parts', object)])
    for i, (name, parts) in enumerate(objects):
        rows = np.zeros(len(parts), dtype=[('part_name', object), ('mask', object)])
        for j, (part, mask) in enumerate(parts):
            rows[j] = (part, mask)
        items[i] = (name, rows)
    savemat(path, {'anno': {'objects': items}})


@pytest.fixture
def voc(tmp_path):
    root, parts = tmp_path / 'VOC2010', tmp_path / 'Annotations_Part'
    (root / 'JPEGImages').mkdir(parents=True)
    (root / 'ImageSets' / 'Main').mkdir(parents=True)
    parts.mkdir()
    for name in ('a', 'b', 'c', 'd'):
        Image.new('RGB', (6, 4)).save(root / 'JPEGImages' / f'{name}.jpg')
    annotation(
        parts / 'a.mat',
        [
            ('person', [('hair', masked(0)), ('torso', masked(1)), ('lhand', masked(2))]),
            ('dog', [('muzzle', masked(3))]),
        ],
    )
    annotation(parts / 'b.mat', [('dog', [('muzzle', masked(0))])])
    annotation(
        parts / 'c.mat', [('person', [('rfoot', masked(3))]), ('person', [('luarm', masked(0))])]
    )
    (root / 'ImageSets' / 'Main' / 'train.txt').write_text('a\nb\nd\n')
    (root / 'ImageSets' / 'Main' / 'val.txt').write_text('c\n')
    return root, parts


def test_parts_are_merged(voc):
    labels = person_labels(voc[1] / 'a.mat')
    assert labels.dtype == np.uint8
    assert labels[:, 0].tolist() == [1, 2, 4, 0]
    assert person_labels(voc[1] / 'b.mat') is None
    assert person_labels(voc[1] / 'c.mat')[:, 0].tolist() == [3, 0, 0, 6]
    assert len(PARTS) == 24 and set(PARTS.values()) == {1, 2, 3, 4, 5, 6}


def test_conversion_and_data_set(voc, tmp_path):
    init_default_scope('mmseg')
    target = tmp_path / 'out'
    for _ in range(2):
        assert convert_pascal_part(*voc, target) == {'train': 1, 'val': 1}
    dataset = DATASETS.build(
        dict(
            type='PascalPersonPartDataset',
            data_root=str(target),
            data_prefix=dict(img_path='images', seg_map_path='labels'),
            ann_file='val.txt',
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='LoadAnnotations'),
                dict(type='PackSegInputs'),
            ],
        )
    )
    assert len(dataset) == 1 and dataset.metainfo['classes'] == CLASSES and len(CLASSES) == 7
    label = dataset[0]['data_samples'].gt_sem_seg.data
    assert label[0, :, 0].tolist() == [3, 0, 0, 6]


def test_lists_of_ones_own(voc, tmp_path):
    lists = tmp_path / 'lists'
    lists.mkdir()
    (lists / 'train.txt').write_text('c')
    (lists / 'val.txt').write_text('a')
    assert convert_pascal_part(*voc, tmp_path / 'out', lists) == {'train': 1, 'val': 1}
    (lists / 'val.txt').write_text('b')
    with pytest.raises(ValueError, match='shows no part of a person'):
        convert_pascal_part(*voc, tmp_path / 'out', lists)
    (lists / 'val.txt').write_text('d')
    with pytest.raises(FileNotFoundError, match='d.mat is missing'):
        convert_pascal_part(*voc, tmp_path / 'out', lists)


def test_bad_input(voc, tmp_path):
    annotation(voc[1] / 'a.mat', [('person', [('tail', masked(0))])])
    with pytest.raises(ValueError, match="unknown part 'tail'"):
        person_labels(voc[1] / 'a.mat')
    savemat(voc[1] / 'a.mat', {'x': 1})
    with pytest.raises(ValueError, match='no annotation of PASCAL-Part'):
        person_labels(voc[1] / 'a.mat')
    with pytest.raises(FileNotFoundError, match='nothing is not a folder'):
        convert_pascal_part(voc[0], tmp_path / 'nothing', tmp_path / 'out')


@pytest.mark.slow
def test_tool(voc, tmp_path):
    tool = ROOT / 'tools' / 'dataset_converters' / 'pascal_person_part.py'
    out = subprocess.run(
        [sys.executable, tool, voc[0], voc[1], '--out', tmp_path / 'out'],
        capture_output=True,
        text=True,
        env={'PYTHONPATH': str(ROOT), 'PATH': ''},
    )
    assert out.returncode == 0 and '1 train, 1 val' in out.stdout, out.stderr


@pytest.mark.parametrize('name', ['../../elsewhere', '/tmp/x', 'sub/a', '..', '.a', 'a\\b'])
def test_names_that_lead_out_of_the_target(voc, tmp_path, name):
    lists = tmp_path / 'lists'
    lists.mkdir()
    (lists / 'train.txt').write_text('c')
    (lists / 'val.txt').write_text(f'{name}\n')
    with pytest.raises(ValueError, match=r'val\.txt: expected names of images without folders'):
        convert_pascal_part(*voc, tmp_path / 'out', lists)
    assert not (tmp_path / 'out').exists()


def test_what_a_killed_run_left_goes(voc, tmp_path):
    convert_pascal_part(*voc, tmp_path / 'out')
    for name in ('.train.nkktznav.txt', 'labels/.a.nkktznav.png', 'images/.a.nkktznav.jpg'):
        (tmp_path / 'out' / name).touch(mode=0o600)
    convert_pascal_part(*voc, tmp_path / 'out')
    assert not list((tmp_path / 'out').rglob('.*'))


@pytest.mark.parametrize(
    'content, message',
    [
        ({'anno': 3}, 'expected anno.objects'),
        ({'anno': {'other': 3}}, 'expected anno.objects'),
        ({'anno': {'objects': 3}}, 'expected objects with class and parts'),
        ({'anno': {'objects': {'class': 3}}}, 'expected objects with class and parts'),
        ({'anno': {'objects': {'class': 'person', 'parts': 3}}}, 'expected parts'),
        (
            {'anno': {'objects': {'class': 'person', 'parts': {'part_name': 3}}}},
            'a person has the unknown part',
        ),
        (
            {'anno': {'objects': {'class': 'person', 'parts': {'part_name': 'hair', 'mask': ''}}}},
            "the part 'hair' has no mask",
        ),
    ],
)
def test_other_layouts(tmp_path, content, message):
    savemat(tmp_path / 'x.mat', content)
    with pytest.raises(ValueError, match=rf'x\.mat.*{message}'):
        person_labels(tmp_path / 'x.mat')


def test_masks_of_two_sizes_and_people_without_parts(tmp_path):
    annotation(tmp_path / 'x.mat', [('person', [('hair', masked(0)), ('neck', np.eye(9))])])
    with pytest.raises(ValueError, match=r'x\.mat: masks of \(4, 6\) and \(9, 9\)'):
        person_labels(tmp_path / 'x.mat')
    for objects in ({'class': 'person', 'parts': []}, []):
        savemat(tmp_path / 'x.mat', {'anno': {'objects': objects}})
        assert person_labels(tmp_path / 'x.mat') is None
