import importlib.util
import json
import os
from pathlib import Path

import numpy as np
import pytest
from mmseg.datasets import PascalVOCDataset
from PIL import Image

from mmseg_sparsemask.datasets.coco_voc import COCO_NAMES, convert_coco, decode_runs, label_map

ROOT = Path(__file__).parents[2]

# Where COCO and VOC differ in the name.
RENAMED = {
    'airplane': 'aeroplane',
    'dining table': 'diningtable',
    'motorcycle': 'motorbike',
    'potted plant': 'pottedplant',
    'couch': 'sofa',
    'tv': 'tvmonitor',
}


def box(x0, y0, x1, y1):
    return [x0, y0, x1, y0, x1, y1, x0, y1]


def annotations():
    categories = [{'id': 10 + i, 'name': name} for i, name in enumerate(COCO_NAMES)]
    categories.append({'id': 90, 'name': 'toothbrush'})
    ids = {category['name']: category['id'] for category in categories}
    objects = [
        # Small cat on a large couch, in the file's order cat first.
        (1, 'cat', [box(2.1, 2.1, 5.9, 4.9)], 12),
        (1, 'couch', [box(0.1, 0.1, 9.9, 5.9)], 60),
        (2, 'toothbrush', [box(0.1, 0.1, 9.9, 5.9)], 60),
        (3, 'person', {'counts': [6, 6, 48], 'size': [6, 10]}, 6),
    ]
    return {
        'images': [
            {'id': i, 'file_name': f'{i:012d}.jpg', 'height': 6, 'width': 10} for i in (1, 2, 3, 4)
        ],
        'categories': categories,
        'annotations': [
            {'image_id': image, 'category_id': ids[name], 'segmentation': s, 'area': area}
            for image, name, s, area in objects
        ],
    }


def test_names_are_vocs_in_order():
    names = [RENAMED.get(name, name) for name in COCO_NAMES]
    assert tuple(names) == PascalVOCDataset.METAINFO['classes'][1:]


def test_conversion(tmp_path):
    (tmp_path / 'a.json').write_text(json.dumps(annotations()))
    count = convert_coco(tmp_path / 'a.json', tmp_path / 'out', 'train2017', min_pixels=6)
    assert count == 2
    assert (tmp_path / 'out' / 'train2017.txt').read_text() == '000000000001\n000000000003\n'
    assert sorted(os.listdir(tmp_path / 'out')) == ['train2017', 'train2017.txt']
    assert len(os.listdir(tmp_path / 'out' / 'train2017')) == 2
    labels = np.array(Image.open(tmp_path / 'out' / 'train2017' / '000000000001.png'))
    expected = np.full((6, 10), 18)
    expected[2:5, 2:6] = 8
    np.testing.assert_array_equal(labels, expected)
    labels = np.array(Image.open(tmp_path / 'out' / 'train2017' / '000000000003.png'))
    assert (labels[:, 1] == 15).all() and labels.sum() == 6 * 15
    assert convert_coco(tmp_path / 'a.json', tmp_path / 'out', 'train2017', min_pixels=7) == 1


def test_parts_that_overlap_make_no_hole():
    labels = label_map([(5, [box(0.1, 0.1, 5.9, 5.9), box(2.1, 2.1, 9.9, 5.9)])], 6, 10)
    assert (labels[:, :6] == 5).all() and (labels[2:, 6:] == 5).all() and labels[:2, 6:].sum() == 0


def test_runs():
    mask = decode_runs({'counts': [1, 2, 3], 'size': [2, 3]}, 2, 3)
    assert mask.tolist() == [[False, True, False], [True, False, False]]


BAD = {
    'missing file': (lambda p: p / 'no.json', FileNotFoundError, 'instances_train2017.json'),
    'not JSON': (lambda p: write(p, '{'), ValueError, 'expected COCO instances'),
    'another JSON': (lambda p: write(p, '{"images": []}'), ValueError, 'expected COCO instances'),
    'a list': (lambda p: write(p, '[]'), ValueError, 'expected COCO instances'),
    'categories of something else': (
        lambda p: write(p, json.dumps({**annotations(), 'categories': [], 'annotations': []})),
        ValueError,
        "the categories .*'airplane'.* are missing",
    ),
}


def write(folder, text):
    (folder / 'a.json').write_text(text)
    return folder / 'a.json'


@pytest.mark.parametrize('name', BAD)
def test_bad_input(name, tmp_path):
    path, error, message = BAD[name]
    with pytest.raises(error, match=message):
        convert_coco(path(tmp_path), tmp_path / 'out', 'train2017')
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    'code, message',
    [
        ({'counts': 'abc', 'size': [2, 3]}, 'compressed string; decode it with pycocotools'),
        ({'counts': [1, 2], 'size': [2, 3]}, 'expected run lengths of 2x3 pixels, got 3'),
        ({'counts': [6], 'size': [3, 2]}, 'for size'),
    ],
)
def test_bad_runs(code, message):
    with pytest.raises(ValueError, match=message):
        decode_runs(code, 2, 3)


def test_tool(tmp_path, capsys):
    path = ROOT / 'tools' / 'dataset_converters' / 'coco_voc.py'
    spec = importlib.util.spec_from_file_location('tool_coco_voc', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    source = write(tmp_path, json.dumps(annotations()))
    module.main([str(source), '-o', str(tmp_path / 'o'), '--min-pixels', '1'])
    assert '2 images of train2017' in capsys.readouterr().out
    with pytest.raises(SystemExit, match='^error: .*does not exist; expected COCO'):
        module.main([str(tmp_path / 'no.json')])
