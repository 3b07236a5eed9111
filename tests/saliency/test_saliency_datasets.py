import zlib

import cv2
import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

import mmseg_sparsemask  # noqa: F401
from mmseg_sparsemask.saliency.datasets import SaliencyDataset
from mmseg_sparsemask.saliency.transforms import LoadSaliencyMask

PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadSaliencyMask'),
    dict(type='PackSegInputs'),
]


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


@pytest.fixture
def folder(tmp_path):
    for part in ('images', 'masks'):
        (tmp_path / part).mkdir()
    for name, value in (('b', 255), ('a', 1), ('c.d', 255)):
        cv2.imwrite(str(tmp_path / 'images' / f'{name}.jpg'), np.full((8, 10, 3), 99, np.uint8))
        mask = np.zeros((8, 10), np.uint8)
        mask[2:5, 3:6] = value
        cv2.imwrite(str(tmp_path / 'masks' / f'{name}.png'), mask)
    return tmp_path


def build(folder, **kwargs):
    prefix = dict(img_path='images', seg_map_path='masks')
    args = dict(data_root=str(folder), data_prefix=prefix, pipeline=PIPELINE, **kwargs)
    return SaliencyDataset(**args)


def test_pairs_every_image_and_binarises_masks(folder):
    data = build(folder)
    assert [data[i]['data_samples'].img_path[-5:] for i in range(3)] == ['a.jpg', 'b.jpg', 'd.jpg']
    for item in data:
        label = item['data_samples'].gt_sem_seg.data
        assert label.unique().tolist() == [0, 1] and label.sum() == 9


def test_list_picks_and_orders(folder):
    (folder / 'list.txt').write_text('b.jpg\n\nc.d\n')
    data = build(folder, ann_file='list.txt')
    assert len(data) == 2
    assert data.get_data_info(0)['img_path'].endswith('images/b.jpg')
    assert data.get_data_info(1)['seg_map_path'].endswith('masks/c.d.png')


def test_an_image_listed_twice(folder):
    (folder / 'list.txt').write_text('a\nb\na.jpg\n')
    with pytest.raises(ValueError, match='lists 1 images twice, for example a'):
        build(folder, ann_file='list.txt')


def test_missing_files(folder):
    (folder / 'list.txt').write_text('a\nzebra\n')
    with pytest.raises(FileNotFoundError, match=r'zebra\.jpg is missing'):
        build(folder, ann_file='list.txt')
    with pytest.raises(FileNotFoundError, match='run the converter'):
        build(folder, ann_file='other.txt')
    (folder / 'masks' / 'a.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'masks/a\.png is missing'):
        build(folder)
    (folder / 'empty.txt').write_text('\n')
    with pytest.raises(ValueError, match='empty'):
        build(folder, ann_file='empty.txt')


def test_a_mask_of_another_size(folder):
    cv2.imwrite(str(folder / 'masks' / 'a.png'), np.zeros((9, 12), np.uint8))
    with pytest.raises(ValueError, match=r'a\.png is \(9, 12\), the image \(8, 10\)'):
        build(folder)[0]


def _load(tmp_path, mask):
    path = tmp_path / 'm.png'
    cv2.imwrite(str(path), mask)
    return LoadSaliencyMask()(dict(seg_map_path=str(path), seg_fields=[]))['gt_seg_map']


def test_grey_masks_are_cut_above_128(tmp_path):
    grey = np.array([[0, 128, 129, 255]], np.uint8)
    assert _load(tmp_path, grey).tolist() == [[0, 0, 1, 1]]
    assert _load(tmp_path, np.dstack([grey] * 3)).tolist() == [[0, 0, 1, 1]]


def test_empty_and_binary_masks(tmp_path):
    assert not _load(tmp_path, np.zeros((3, 4), np.uint8)).any()
    assert _load(tmp_path, np.eye(3, dtype=np.uint8)).tolist() == np.eye(3).tolist()


def test_unexpected_masks(tmp_path):
    with pytest.raises(ValueError, match=r'm\.png has values up to 7.*map of labels'):
        _load(tmp_path, np.full((3, 4), 7, np.uint8))
    with pytest.raises(ValueError, match='uint16'):
        _load(tmp_path, np.full((3, 4), 700, np.uint16))
    colour = np.zeros((3, 4, 3), np.uint8)
    colour[..., 1] = 200
    with pytest.raises(ValueError, match='colour'):
        _load(tmp_path, colour)
    (tmp_path / 'm.png').write_text('no image')
    with pytest.raises(ValueError, match='not an image that can be read'):
        LoadSaliencyMask()(dict(seg_map_path=str(tmp_path / 'm.png'), seg_fields=[]))


def test_shapes_variant_marks_everything_drawn():
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations'),
        dict(type='PackSegInputs'),
    ]
    args = dict(length=2, size=(48, 64), split='val', pipeline=pipeline)
    salient = DATASETS.build(dict(type='ShapesSaliencyDataset', **args))
    shapes = DATASETS.build(dict(type='ShapesDataset', **args))
    for a, b in zip(salient, shapes):
        label = a['data_samples'].gt_sem_seg.data
        assert (label == (b['data_samples'].gt_sem_seg.data > 0)).all()
        assert (a['inputs'] == b['inputs']).all()
    assert salient.metainfo['classes'] == ('background', 'salient')


def test_what_a_killed_converter_left_is_no_data(folder):
    for name in ('images/.a.nkktznav.jpg', 'masks/.a.nkktznav.png'):
        (folder / name).write_text('half')
    assert len(build(folder)) == 3


def masked(folder, data):
    (folder / 'm.png').write_bytes(data)
    LoadSaliencyMask()(dict(seg_map_path=str(folder / 'm.png'), seg_fields=[]))


def test_damaged_masks(tmp_path):
    _, png = cv2.imencode('.png', np.zeros((4, 5), np.uint8))
    whole = png.tobytes()
    masked(tmp_path, whole)
    png = bytearray(whole)
    # Width and height stand behind the signature and the first tag.
    for side in (2_000, 9_000, 60_000):
        png[16:24] = side.to_bytes(4, 'big') * 2
        png[29:33] = zlib.crc32(png[12:29]).to_bytes(4, 'big')
        with pytest.raises(ValueError, match=r'm\.png says that it has more pixels than'):
            masked(tmp_path, bytes(png))
    # A first piece of data of 4 GB, which is not there.
    for data in (whole[:33] + b'\xf3' + whole[34:], whole[:50] + b'xy' + whole[52:], whole[:-3]):
        with pytest.raises(ValueError, match=r'm\.png is (damaged at byte \d+|not an image)'):
            masked(tmp_path, data)
    for data in (b'', whole[:20], bytes(200)):
        with pytest.raises(ValueError, match=r'm\.png is not an image that can be read'):
            masked(tmp_path, data)
