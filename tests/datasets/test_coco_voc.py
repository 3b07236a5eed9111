import importlib.util
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmseg.datasets import PascalVOCDataset
from PIL import Image
from pycocotools.coco import COCO

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


def outline(rng, height, width):
    """A polygon of tenths of pixels around the middle of an image, up to its edges."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 30)))
    radius = rng.uniform(0.2, 1, len(angles))
    x = width / 2 * (1 + radius * np.cos(angles))
    y = height / 2 * (1 + radius * np.sin(angles))
    return np.stack([x, y], axis=1).round(1).ravel().tolist()


def test_polygons_cover_what_cocos_own_library_says():
    rng = np.random.default_rng(0)
    height, width = 37, 53
    reference = COCO()
    rounded_differ = 0
    for index in range(50):
        polygons = [outline(rng, height, width) for _ in range(1 + index % 3)]
        reference.imgs = {1: {'height': height, 'width': width}}
        want = reference.annToMask({'image_id': 1, 'segmentation': polygons})
        np.testing.assert_array_equal(label_map([(1, polygons)], height, width), want)
        rounded = np.zeros((height, width), np.uint8)
        for polygon in polygons:
            corners = np.rint(np.reshape(polygon, (-1, 2)) - 0.5).astype(np.int32)
            cv2.fillPoly(rounded, [corners], 1)
        rounded_differ += (rounded != want).any()
    assert rounded_differ > 40


def test_parts_without_area():
    assert not label_map([(5, [[1, 1, 5, 5], [2, 2], []])], 6, 10).any()
    assert not label_map([(5, [])], 6, 10).any()


def test_runs():
    mask = decode_runs({'counts': [1, 2, 3], 'size': [2, 3]}, 2, 3)
    assert mask.tolist() == [[False, True, False], [True, False, False]]


def changed(group, index, **values):
    data = annotations()
    data[group][index].update(values)
    return json.dumps(data)


BAD = {
    'missing file': (lambda p: p / 'no.json', FileNotFoundError, 'instances_train2017.json'),
    'not JSON': (lambda p: write(p, '{'), ValueError, 'expected COCO instances'),
    'another JSON': (lambda p: write(p, '{"images": []}'), ValueError, 'expected COCO instances'),
    'a list': (lambda p: write(p, '[]'), ValueError, 'expected COCO instances'),
    'a deep one': (lambda p: write(p, '[' * 100_000), ValueError, 'expected COCO instances'),
    'not text': (lambda p: write(p, b'\xff\xfe'), ValueError, 'expected COCO instances'),
    'an image of impossible size': (
        lambda p: write(p, changed('images', 0, height=10**9)),
        ValueError,
        'a size of 10x1000000000',
    ),
    'an image of no size': (
        lambda p: write(p, changed('images', 0, height=True)),
        ValueError,
        'no id, height or width',
    ),
    'a hidden image': (
        lambda p: write(p, changed('images', 0, file_name='../.x.jpg')),
        ValueError,
        "'../.x.jpg' cannot be the name",
    ),
    'an image twice': (
        lambda p: write(p, changed('images', 0, file_name='x/000000000002.png')),
        ValueError,
        'two images',
    ),
    'no area': (lambda p: write(p, changed('annotations', 0, area='9')), ValueError, 'with area'),
    'categories of something else': (
        lambda p: write(p, json.dumps({**annotations(), 'categories': [], 'annotations': []})),
        ValueError,
        "the categories .*'airplane'.* are missing",
    ),
}


def write(folder, text):
    (folder / 'a.json').write_bytes(text if isinstance(text, bytes) else text.encode())
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
        ({'counts': [10**12], 'size': [2, 3]}, 'got 1000000000000 for size'),
        ({'counts': [-6, 12], 'size': [2, 3]}, 'integers of at least 0'),
        ({'counts': [6.0], 'size': [2, 3]}, 'integers of at least 0'),
        ({}, 'integers of at least 0'),
    ],
)
def test_bad_runs(code, message):
    with pytest.raises(ValueError, match=message):
        decode_runs(code, 2, 3)


@pytest.mark.parametrize(
    'segmentation, message',
    [
        ([[0, 0, 1e9, 0, 1e9, 1e9]], 'leads out of the image, 10x6'),
        ([[-(2**30), 0, 1, 0, 1, 1]], 'leads out of the image'),
        ([[0, 0, 9, 5] * 500], 'leads out of the image'),
        ([[0, 0, 1, 0, 1]], 'expected polygons'),
        ([[0, 0, 1, 0, 1, float('nan')]], 'expected polygons'),
        ([[0, 0, 1, 0, 1, True]], 'expected polygons'),
        ([0, 0, 1, 0, 1, 1], 'expected polygons'),
        (None, 'expected polygons'),
    ],
)
def test_bad_polygons_name_file_and_image(segmentation, message, tmp_path):
    source = write(tmp_path, changed('annotations', 0, segmentation=segmentation))
    with pytest.raises(ValueError, match=rf'a\.json, 000000000001\.jpg: .*{message}'):
        convert_coco(source, tmp_path / 'out', 'train2017')


def test_what_a_killed_run_left_is_removed(tmp_path):
    folder = tmp_path / 'out' / 'train2017'
    folder.mkdir(parents=True)
    for place, name in ((folder, '.000000000001.nkktznav.png'), (folder.parent, '.t.abcd1234.txt')):
        (place / name).touch(mode=0o600)
    source = write(tmp_path, json.dumps(annotations()))
    convert_coco(source, tmp_path / 'out', 'train2017', min_pixels=6)
    assert not [name for _, _, names in os.walk(tmp_path) for name in names if name[0] == '.']


def test_tool(tmp_path, capsys):
    path = ROOT / 'tools' / 'dataset_converters' / 'coco_voc.py'
    spec = importlib.util.spec_from_file_location('tool_coco_voc', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    source = write(tmp_path, json.dumps(annotations()))
    module.main([str(source), '--out', str(tmp_path / 'o'), '--min-pixels', '1'])
    assert '2 images of train2017' in capsys.readouterr().out
    with pytest.raises(SystemExit, match='^error: .*does not exist; expected COCO'):
        module.main([str(tmp_path / 'no.json')])
